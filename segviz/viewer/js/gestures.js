// Clicks, drags, pinches and the wheel on the pictures: they point, pin, pan and zoom.
import { WHOLE, panView, zoomView } from "./view.js";

const DRAG_AFTER = 5; // CSS pixels that the pressed pointer must move before the picture follows
const SECOND_TAP = 24; // CSS pixels within which a second tap pins
const WHEEL_STEP = 25; // the most that one event can scroll: a mouse's notch sends 100, a touch pad a few
const CLOSEST_FINGERS = 20; // CSS pixels; below this a tremor would zoom wildly
const WHEEL_LINE = 16; // CSS pixels per line of a wheel that counts lines

/** The pin of the marker that an event is on; null beside the markers. */
const pinOf = (event) => event.target.closest(".marker")?.pin ?? null;

export class Gestures {
  /**
   * `area` contains the stages. `actions`: pointAt(stage, event) while a pointer is over a picture, leave() when there
   * is none, pinAt(stage, event) on a click or second tap, pinPoint() on a click that no pointer made, unpin(pin) on a
   * click on a marker, and setView(view). `actualZoom()` is the zoom of one CSS pixel per image pixel.
   *
   * A gesture ends with the coordinates of its own last event: between press and release, a lost focus may have moved the
   * point, and Python may have replaced the panel.
   */
  constructor(area, actions, actualZoom, signal) {
    Object.assign(this, { area, actions, actualZoom, view: WHOLE, fingers: new Map(), press: null });
    const on = (name, action) => area.addEventListener(name, (event) => {
      const stage = event.target.closest(".stage");
      if (event.target.closest(".outside")) return; // a button of its own
      if (stage || name.startsWith("pointer")) action(event, stage);
    }, { signal, passive: false });
    on("pointermove", (event, stage) => this.move(event, stage));
    on("pointerdown", (event, stage) => this.down(event, stage));
    on("pointerup", (event, stage) => this.up(event, stage));
    on("pointercancel", (event) => this.cancel(event));
    on("click", (event) => this.click(event));
    on("wheel", (event, stage) => this.wheel(event, stage));
    on("touchstart", (event) => {
      if (event.touches.length > 1) event.preventDefault(); // two fingers move the picture, not the page
    });
    area.addEventListener("pointerleave", (event) => {
      if (event.pointerType === "mouse" && !this.press?.moving) actions.leave();
    }, { signal });
  }

  down(event, stage) {
    if (!stage) return;
    const pin = pinOf(event);
    if (pin) {
      if (event.button === 0) this.press = { pin, id: event.pointerId }; // others open a menu, or paste
      return;
    }
    if (event.pointerType === "touch" && event.isPrimary) this.fingers.clear(); // a lifted one may have gone unnoticed
    if (event.pointerType === "touch") this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.fingers.size === 2) {
      this.press = { moving: true }; // no longer a tap
      this.pinch = this.span();
      this.actions.leave();
      return;
    }
    const { clientX: x, clientY: y, pointerId: id } = event, mouse = event.pointerType !== "touch" && event.button === 0;
    this.press = { stage, id, x, y, moving: false, mouse, pins: event.button === 0 && this.isSecondTap(event, stage) };
    this.actions.pointAt(stage, event);
  }

  /** Whether a press is near the last one, in a view that has not changed; a mouse needs no first tap to point. */
  isSecondTap(event, stage) {
    const box = stage.getBoundingClientRect(), before = this.tap, { view } = this; // a page may scroll between taps
    const tap = this.tap = { x: event.clientX - box.left, y: event.clientY - box.top, view };
    if (event.pointerType === "mouse") return true;
    return before?.view === view && Math.hypot(tap.x - before.x, tap.y - before.y) < SECOND_TAP;
  }

  move(event, stage) {
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.fingers.size === 2) return this.followPinch(stage);
    const { press } = this;
    if (press?.mouse && event.buttons & 1 && this.view.zoom > 1) return this.drag(event, press);
    if (stage) this.actions.pointAt(stage, event);
    else if (event.pointerType === "mouse") this.actions.leave();
  }

  /** Moves the picture with the pointer, once the pointer has moved too far for a click. */
  drag(event, press) {
    if (!press.moving) {
      if (Math.hypot(event.clientX - press.x, event.clientY - press.y) < DRAG_AFTER) return;
      press.moving = true;
      press.stage.setPointerCapture(event.pointerId);
      this.area.classList.add("dragging");
    }
    const box = press.stage.getBoundingClientRect();
    const view = panView(this.view, (event.clientX - press.x) / box.width, (event.clientY - press.y) / box.height);
    Object.assign(press, { x: event.clientX, y: event.clientY });
    this.actions.pointAt(press.stage, event);
    this.setView(view);
  }

  /** Unpins on a marker; else pins unless the press moved the picture, ends in another panel, or is a first tap. */
  up(event, stage) {
    const { press } = this;
    this.release(event);
    if (!stage || press?.id !== event.pointerId) return;
    if (press.pin) {
      const pin = pinOf(event);
      if (pin?.y === press.pin.y && pin.x === press.pin.x) this.actions.unpin(pin);
      return;
    }
    if (!press.pins || press.moving) return;
    if (press.stage === stage || !press.stage.isConnected) this.actions.pinAt(stage, event);
  }

  /** Forgets a press that the browser has taken for scrolling; it was no tap. */
  cancel(event) {
    this.tap = null;
    this.release(event);
  }

  release(event) {
    this.fingers.delete(event.pointerId);
    this.area.classList.remove("dragging");
    this.pinch = this.press = null;
  }

  /** Clicks by assistive technology have no pointer events, and no position. */
  click(event) {
    if (event.detail > 0) return;
    const pin = pinOf(event);
    if (pin) this.actions.unpin(pin);
    else this.actions.pinPoint();
  }

  /** The midpoint of two fingers and the distance between them. */
  span() {
    const [[ax, ay], [bx, by]] = this.fingers.values();
    return { x: (ax + bx) / 2, y: (ay + by) / 2, wide: Math.max(CLOSEST_FINGERS, Math.hypot(ax - bx, ay - by)) };
  }

  followPinch(stage) {
    if (!stage || !this.pinch) return;
    const box = stage.getBoundingClientRect(), old = this.pinch, now = this.pinch = this.span();
    const [x, toX] = [old.x, now.x].map((at) => (at - box.left) / box.width);
    const [y, toY] = [old.y, now.y].map((at) => (at - box.top) / box.height);
    this.setView(zoomView(this.view, this.view.zoom * (now.wide / old.wide), x, y, this.actualZoom(), toX, toY));
  }

  /**
   * Zooms with Ctrl or ⌘ and the wheel, or a touch pad's pinch, which sends the same; the wheel alone scrolls the page.
   */
  wheel(event, stage) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const travel = event.deltaY * (event.deltaMode === 1 ? WHEEL_LINE : 1);
    const factor = Math.exp(-Math.max(-WHEEL_STEP, Math.min(WHEEL_STEP, travel)) / 100);
    const box = stage.getBoundingClientRect();
    this.zoomTo(this.view.zoom * factor, (event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width);
  }

  /** Zooms about a place on the stage, in fractions of it. */
  zoomTo(zoom, y = 0.5, x = 0.5) {
    this.setView(zoomView(this.view, zoom, x, y, this.actualZoom()));
  }

  setView(view) {
    const { zoom, left, top } = this.view;
    if (view.zoom === zoom && view.left === left && view.top === top) return;
    this.view = view;
    this.actions.setView(view);
  }
}
