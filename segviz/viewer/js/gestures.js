// What hands do on the pictures: look, pin, zoom and move, with a mouse, a pen, a touch pad or fingers.
import { WHOLE, dragged, zoomed } from "./places.js";

const DRAG_AFTER = 5; // CSS pixels that the pointer moves with its button down before the picture moves
const SECOND_TAP = 24; // CSS pixels within which a second tap pins what the first one showed
const WHEEL_STEP = 25; // of wheel travel, at most, from one event: a mouse's notch sends 100, a touch pad a few
const CLOSE = 20; // CSS pixels between two fingers, at least, or a tremor would zoom wildly
const LINE = 16; // CSS pixels of a wheel's line

export class Gestures {
  /**
   * `area` holds the stages. `actions`: look(stage, event) when a pointer is over a picture, leave() when none is,
   * pin() on a click or second tap, and change(view).
   */
  constructor(area, actions, full, signal) {
    Object.assign(this, { area, actions, full, view: WHOLE, fingers: new Map(), press: null });
    const on = (name, action) => area.addEventListener(name, (event) => {
      const stage = event.target.closest(".stage");
      if (stage || name === "pointermove") action(event, stage);
    }, { signal, passive: false });
    on("pointermove", (event, stage) => this.move(event, stage));
    on("pointerdown", (event, stage) => this.down(event, stage));
    for (const name of ["pointerup", "pointercancel"]) on(name, (event) => this.up(event));
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
    if (event.target.closest(".marker")) return;
    if (event.pointerType === "touch") this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.fingers.size === 2) {
      this.press = { moving: true }; // no tap any more
      this.pinch = this.span();
      this.actions.leave();
      return;
    }
    this.wasMove = false;
    const tap = this.tap, before = event.pointerType !== "mouse" && tap;
    this.isSecondTap = before && Math.hypot(event.clientX - tap[0], event.clientY - tap[1]) < SECOND_TAP;
    this.tap = [event.clientX, event.clientY];
    this.press = { stage, x: event.clientX, y: event.clientY, moving: false, mouse: event.pointerType !== "touch" && event.button === 0 };
    this.actions.look(stage, event);
  }

  move(event, stage) {
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, [event.clientX, event.clientY]);
    if (this.fingers.size === 2) return this.followPinch(stage);
    const { press } = this;
    if (press?.mouse && event.buttons & 1 && this.view.zoom > 1) return this.drag(event, press);
    if (stage) this.actions.look(stage, event);
    else if (event.pointerType === "mouse") this.actions.leave();
  }

  /** Moves the picture with the pointer, once it is clear that this is no click. */
  drag(event, press) {
    if (!press.moving) {
      if (Math.hypot(event.clientX - press.x, event.clientY - press.y) < DRAG_AFTER) return;
      press.moving = true;
      press.stage.setPointerCapture(event.pointerId);
      this.area.classList.add("dragging");
    }
    const box = press.stage.getBoundingClientRect();
    const view = dragged(this.view, (event.clientX - press.x) / box.width, (event.clientY - press.y) / box.height);
    Object.assign(press, { x: event.clientX, y: event.clientY });
    this.actions.look(press.stage, event);
    this.show(view);
  }

  up(event) {
    this.fingers.delete(event.pointerId);
    this.area.classList.remove("dragging");
    this.wasMove = Boolean(this.press?.moving); // the click that follows means nothing
    this.pinch = this.press = null;
  }

  click(event) {
    if (this.wasMove) return;
    if (event.pointerType && event.pointerType !== "mouse" && !this.isSecondTap) return; // a first tap only looks
    this.actions.pin();
  }

  /** The middle of two fingers and the distance between them. */
  span() {
    const [[ax, ay], [bx, by]] = this.fingers.values();
    return { x: (ax + bx) / 2, y: (ay + by) / 2, wide: Math.max(CLOSE, Math.hypot(ax - bx, ay - by)) };
  }

  followPinch(stage) {
    if (!stage || !this.pinch) return;
    const box = stage.getBoundingClientRect(), old = this.pinch, now = this.pinch = this.span();
    const [x, toX] = [old.x, now.x].map((at) => (at - box.left) / box.width);
    const [y, toY] = [old.y, now.y].map((at) => (at - box.top) / box.height);
    this.show(zoomed(this.view, this.view.zoom * (now.wide / old.wide), x, y, this.full(), toX, toY));
  }

  /** Ctrl or ⌘ and the wheel; a pinch on a touch pad arrives as the same. The wheel alone scrolls the page. */
  wheel(event, stage) {
    if (!event.ctrlKey && !event.metaKey) return;
    event.preventDefault();
    const travel = event.deltaY * (event.deltaMode === 1 ? LINE : 1);
    const factor = Math.exp(-Math.max(-WHEEL_STEP, Math.min(WHEEL_STEP, travel)) / 100);
    const box = stage.getBoundingClientRect();
    this.zoomTo(this.view.zoom * factor, (event.clientY - box.top) / box.height, (event.clientX - box.left) / box.width);
  }

  /** Zooms about a place of the stage, in fractions of it. */
  zoomTo(zoom, y = 0.5, x = 0.5) {
    this.show(zoomed(this.view, zoom, x, y, this.full()));
  }

  show(view) {
    const { zoom, left, top } = this.view;
    if (view.zoom === zoom && view.left === left && view.top === top) return;
    this.view = view;
    this.actions.change(view);
  }
}
