// The live viewer, a Streamlit component (v2): linked panels over one picture, drawn without the server.
import { WHOLE } from "./places.js";
import { gradient } from "./colour.js";
import { say } from "./dom.js";
import { drawPanels } from "./drawing.js";
import { Gone, factorsOf } from "./factors.js";
import { Gestures } from "./gestures.js";
import { Keyboard } from "./keyboard.js";
import { Panel } from "./panel.js";
import { Pins } from "./pins.js";
import { Preferences } from "./preferences.js";
import { Toolbar } from "./toolbar.js";

const ZOOM_STEP = 1.5;
const REST_AFTER = 150; // ms off the pictures before the query returns to the last pin
const CATCH_UP_AFTER = 120; // ms without drawing before panels out of sight are drawn

const viewers = new WeakMap();

class Viewer {
  constructor(root) {
    this.root = root.querySelector(".viewer");
    const find = (name) => this.root.querySelector(`.${name}`);
    this.grid = find("panels");
    this.where = find("where");
    const [panel, side, reading] = ["panel", "side", "reading"].map((name) => find(`${name}-template`));
    this.templates = { panel, side, reading };
    this.panels = [];
    this.made = 0;
    this.asked = new Set(); // URLs that Python was asked to send again
    this.pointer = null; // the image pixel under the pointer
    this.query = null; // the image pixel whose maps are drawn
    this.over = null; // the stage under the pointer, and where on the page that is
    this.preferences = new Preferences(() => this.applySettings());
    this.state = { settings: this.preferences.now, hidden: new Set(), view: WHOLE, version: 0 }; // for all panels
    this.stop = new AbortController();
    const { signal } = this.stop, status = find("say");
    this.say = (text) => { status.textContent = text; };
    this.pins = new Pins(find("pins"), {
      changed: () => this.placeMarkers(),
      look: (pixel) => (pixel ? this.moveTo(pixel) : this.rest()),
      say: this.say,
    });
    this.gestures = new Gestures(this.grid, {
      look: (stage, event) => this.follow(stage, event),
      leave: () => this.leave(),
      pin: () => this.pins.add(this.query), // what is shown is what gets pinned: a click's own place is rounded
      change: (view) => this.changeView(view),
    }, () => this.full(), signal);
    this.toolbar = new Toolbar(find("toolbar"), {
      set: (name, value) => this.preferences.set({ [name]: value }),
      zoom: (how) => this.zoom(how),
    }, signal);
    this.keyboard = new Keyboard(this, signal);
    this.root.style.setProperty("--ramp-signed", gradient("signed"));
    this.observe();
    this.applySettings();
  }

  destroy() {
    this.stop.abort();
    this.resize.disconnect();
    this.sight.disconnect();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.later);
    this.preferences.stop();
  }

  /** What Python says: picture, panels, pins, settings. Panels that did not change stay as they are. */
  update({ data: [data], setStateValue }) {
    const { picture, height, width } = data;
    if (height !== this.height || width !== this.width) {
      this.query = this.pointer = null;
      this.gestures.show(WHOLE);
    }
    Object.assign(this, { height, width, tellPython: setStateValue });
    this.preferences.begin(data.settings, (now) => setStateValue("settings", now));
    this.grid.style.setProperty("--columns", Math.max(1, Math.min(data.columns, data.panels.length)));
    const kept = new Map(this.panels.filter((panel) => !panel.failed).map((panel) => [panel.source, panel]));
    this.panels = data.panels.map((config, index) => {
      const source = JSON.stringify([picture, height, width, config]), panel = kept.get(source);
      kept.delete(source); // two panels may be alike
      return panel ?? this.newPanel(config, picture, source, this.panels[index]);
    });
    this.arrange();
    this.toolbar.fit(this.panels);
    this.pins.adopt(data, (edit) => setStateValue("edit", edit));
    this.placeMarkers();
    if (!this.query) this.rest();
    this.request();
  }

  /** A panel in the place of `before`, if there was one; below its picture it takes the same room until it is loaded. */
  newPanel(config, picture, source, before) {
    const panel = new Panel(config, [this.height, this.width], this.templates, this.made++);
    const { style } = panel.parts.under;
    panel.source = source;
    style.minHeight = before ? `${before.parts.under.offsetHeight}px` : "";
    panel.load(picture, factorsOf, this.preferences).then(() => {
      style.minHeight = "";
      if (panel.failed) this.askAgain(panel.failed, source);
      this.request();
    });
    return panel;
  }

  /** What the server dropped, it can make again: Python is asked once for each. */
  askAgain(error, source) {
    if (!(error instanceof Gone || error.name === "EncodingError") || this.asked.has(source)) return;
    this.asked.add(source);
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.tellPython("lost", `${this.pins.mount} ${this.asked.size}`)); // all at once
  }

  /** Puts the panels into their order, in place: a stage taken out and put back would lose the keyboard's focus. */
  arrange() {
    const roots = this.panels.map((panel) => panel.root), { children } = this.grid;
    for (const child of [...children]) if (!roots.includes(child)) child.remove();
    roots.forEach((root, index) => {
      if (children[index] !== root) this.grid.insertBefore(root, children[index] ?? null);
    });
    this.byStage = new Map(this.panels.map((panel) => [panel.parts.stage, panel]));
    for (const observer of [this.resize, this.sight]) {
      observer.disconnect();
      for (const stage of this.byStage.keys()) observer.observe(stage);
    }
  }

  applySettings() {
    const settings = this.preferences.now;
    Object.assign(this.state, { settings, hidden: new Set(settings.hidden), version: this.state.version + 1 });
    this.toolbar.show(settings);
    this.root.style.setProperty("--ramp", gradient(settings.colours));
    this.root.style.setProperty("--opacity", settings.opacity / 100);
    this.root.classList.toggle("pixelated", settings.cells === "cells");
    this.root.classList.toggle("cut", settings.scale !== "linear"); // its ends read "≤ 1.2 %"
    this.request();
  }

  /** Panels are told their size, and whether they can be seen. */
  observe() {
    this.resize = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        const panel = this.byStage.get(target);
        if (panel) Object.assign(panel, { size: contentRect, placed: null });
      }
      this.request();
    });
    this.sight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const panel = this.byStage.get(target);
        if (panel) panel.inSight = isIntersecting;
      }
      this.request();
    });
  }

  // ---- the point -----------------------------------------------------------------------------------------

  pixelAt(stage, { clientX, clientY }) {
    const box = stage.getBoundingClientRect(), { zoom, left, top } = this.state.view;
    const along = (edge, share, pixels) => Math.max(0, Math.min(pixels - 1, Math.floor((edge + share / zoom) * pixels)));
    return [
      along(top, (clientY - box.top) / box.height, this.height),
      along(left, (clientX - box.left) / box.width, this.width),
    ];
  }

  follow(stage, event) {
    clearTimeout(this.resting);
    this.over = { stage, clientX: event.clientX, clientY: event.clientY };
    this.eventTime = event.timeStamp;
    this.moveTo(this.pixelAt(stage, event));
  }

  leave() {
    if (!this.over) return;
    this.over = null;
    this.resting = setTimeout(() => this.rest(), REST_AFTER);
  }

  moveTo(pixel) {
    this.query = this.pointer = pixel;
    this.request();
  }

  /** Nobody points: the query goes to the last pin, else stays, and starts in the middle. */
  rest() {
    const { last } = this.pins;
    this.pointer = null;
    this.query = last ? [last.y, last.x] : this.query ?? [this.height >> 1, this.width >> 1];
    this.request();
  }

  // ---- zoom ----------------------------------------------------------------------------------------------

  /** The zoom at which a pixel of the picture is a pixel of the page. */
  full() {
    const wide = this.panels[0]?.size.width;
    return wide ? this.width / wide : 1;
  }

  /** A button or key: about the query, if it can be seen. */
  zoom(how) {
    const { zoom, top, left } = this.state.view, [y, x] = this.query ?? [0, 0];
    const next = { in: zoom * ZOOM_STEP, out: zoom / ZOOM_STEP, fit: 1, full: this.full() }[how];
    const at = [((y + 0.5) / this.height - top) * zoom, ((x + 0.5) / this.width - left) * zoom];
    if (how === "fit") this.gestures.show(WHOLE);
    else this.gestures.zoomTo(next, ...(at.every((share) => share >= 0 && share <= 1) ? at : [0.5, 0.5]));
    this.say(`Zoom ${Math.round((100 * this.state.view.zoom) / this.full())} %`);
  }

  changeView(view) {
    Object.assign(this.state, { view, version: this.state.version + 1 });
    if (this.over) this.query = this.pointer = this.pixelAt(this.over.stage, this.over); // what moved under the pointer
    this.request();
  }

  // ---- drawing -------------------------------------------------------------------------------------------

  placeMarkers() {
    for (const panel of this.panels) panel.mark(this.pins.markers(), this.state.view);
  }

  /** Any number of events lead to one drawing per frame. */
  request() {
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  /** Draws the panels in sight now, and the others when nothing moves any more. */
  draw(all = this.preferences.now.range === "shared") { // a shared scale needs every map
    cancelAnimationFrame(this.frame);
    clearTimeout(this.later);
    this.frame = null;
    if (!this.query) return;
    const near = this.panels.filter((panel) => panel.loaded && (all || panel.inSight));
    drawPanels(near, this);
    this.drawLater(this.panels.filter((panel) => panel.loaded && !near.includes(panel)), CATCH_UP_AFTER);
    say(this.where, `y\u00a0${this.query[0]}  x\u00a0${this.query[1]}`);
    this.report();
  }

  /** Draws one panel after the other, as long as nothing else is to be drawn. */
  drawLater([next, ...others], wait) {
    if (!next) return;
    this.later = setTimeout(() => {
      drawPanels([next], this);
      this.drawLater(others, 0);
    }, wait);
  }

  /** A benchmark that sets window.__segviz to an array gets the times of each pointer event and its frame. */
  report() {
    if (!Array.isArray(globalThis.__segviz) || !this.eventTime) return;
    const record = { event: this.eventTime, drawn: performance.now() }, channel = new MessageChannel();
    this.eventTime = null;
    channel.port1.onmessage = () => globalThis.__segviz.push({ ...record, shown: performance.now() });
    channel.port2.postMessage(0); // runs after the frame's paint
  }
}

export default function (component) {
  const { parentElement } = component;
  let viewer = viewers.get(parentElement);
  if (!viewer) viewers.set(parentElement, (viewer = new Viewer(parentElement)));
  viewer.update(component);
  return () => {
    viewer.destroy();
    viewers.delete(parentElement);
  };
}
