// The live viewer, a Streamlit component (v2): linked panels over one picture, drawn without the server.
import { pixelOf, unpack } from "./maps.js";
import { gradient } from "./viewer_colour.js";
import { Panel } from "./viewer_panel.js";
import { Pins } from "./viewer_pins.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const REST_AFTER = 150; // ms off the pictures before the query returns to the last pin
const SECOND_TAP = 24; // CSS pixels within which a second tap pins what the first one showed
const CACHE_BYTES = 256e6;

// The module outlives a switch of pages, and with it the settings and the factors.
const settings = { colours: "viridis", opacity: 65, range: "own", scale: "linear", cells: "smooth", version: 0 };
const cache = new Map();
const viewers = new WeakMap();

/** The factors behind a URL, fetched once; the ones unused for longest go first. */
function factorsOf(url) {
  const found = cache.get(url) ?? fetchFactors(url);
  cache.delete(url);
  cache.set(url, found);
  return found.promise;
}

function fetchFactors(url) {
  const entry = { bytes: 0 };
  entry.promise = fetch(url).then(async (response) => {
    if (!response.ok) throw new Error(`${url}: ${response.status}`);
    const buffer = await response.arrayBuffer();
    entry.bytes = buffer.byteLength;
    let total = 0;
    for (const { bytes } of cache.values()) total += bytes;
    for (const [oldest, { bytes }] of cache) {
      if (total <= CACHE_BYTES || oldest === url) break;
      cache.delete(oldest);
      total -= bytes;
    }
    return unpack(buffer);
  });
  entry.promise.catch(() => cache.delete(url)); // a failure is not kept: the next run may bring the blob back
  return entry;
}

class Viewer {
  constructor(root) {
    this.root = root.querySelector(".viewer");
    this.grid = this.root.querySelector(".panels");
    this.where = this.root.querySelector(".where");
    this.template = this.root.querySelector("template");
    this.panels = [];
    this.pointer = null; // the image pixel under the pointer
    this.query = null; // the image pixel whose maps are drawn
    this.stop = new AbortController();
    const say = this.root.querySelector(".say");
    this.pins = new Pins(this.root.querySelector(".pins"), {
      changed: () => this.placeMarkers(),
      look: (pixel) => (pixel ? this.moveTo(pixel) : this.rest()),
      say: (text) => { say.textContent = text; },
    });
    this.buildToolbar();
    this.listen();
  }

  destroy() {
    this.stop.abort();
    this.resize.disconnect();
    cancelAnimationFrame(this.frame);
  }

  /** What Python says: picture, panels, pins. Panels that did not change stay as they are. */
  update({ data, setStateValue }) {
    if (!data) return;
    const { picture, height, width } = data;
    if (height !== this.height || width !== this.width) this.query = this.pointer = null;
    Object.assign(this, { height, width });
    this.grid.style.setProperty("--columns", Math.max(1, Math.min(data.columns, data.panels.length)));
    this.panels = data.panels.map((config, index) => {
      const key = JSON.stringify([picture, height, width, config]), old = this.panels[index];
      if (old?.source === key && !old.failed) return old;
      const panel = new Panel(config, [height, width], this.template);
      panel.source = key;
      panel.load(picture, config.map ? factorsOf(config.map) : null).then(() => this.request());
      this.listenTo(panel);
      return panel;
    });
    const roots = this.panels.map((panel) => panel.root);
    if (roots.some((root, index) => root !== this.grid.children[index]) || roots.length !== this.grid.children.length) {
      for (const child of [...this.grid.children]) if (!roots.includes(child)) child.remove();
      roots.forEach((root, index) => { // in place: a stage taken out and put back would lose the keyboard's focus
        if (this.grid.children[index] !== root) this.grid.insertBefore(root, this.grid.children[index] ?? null);
      });
    }
    this.resize.disconnect();
    for (const panel of this.panels) this.resize.observe(panel.parts.stage);
    this.pins.adopt(data, (edit) => setStateValue("edit", edit));
    this.placeMarkers();
    if (!this.query) this.rest();
    this.request();
  }

  buildToolbar() {
    const find = (name) => this.root.querySelector(name), signal = { signal: this.stop.signal };
    const controls = [find(".colours"), find(".opacity"), ...this.root.querySelectorAll("input[type=radio]")];
    for (const control of controls) {
      const name = control.type === "radio" ? control.name : control.className;
      if (control.type === "radio") control.checked = settings[name] === control.value;
      else control.value = settings[name];
      control.addEventListener("input", () => { settings[name] = control.value; this.applySettings(); }, signal);
    }
    this.root.style.setProperty("--ramp-signed", gradient("signed"));
    this.applySettings();
  }

  applySettings() {
    settings.version += 1;
    settings.logarithmic = settings.scale === "log";
    this.root.style.setProperty("--ramp", gradient(settings.colours));
    this.root.style.setProperty("--opacity", settings.opacity / 100);
    this.root.classList.toggle("pixelated", settings.cells === "cells");
    this.request();
  }

  // ---- pointer and keys ----------------------------------------------------------------------------------

  listen() {
    const options = { signal: this.stop.signal };
    this.resize = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) {
        const panel = this.panels.find((other) => other.parts.stage === target);
        if (panel) Object.assign(panel, { size: contentRect, drawn: null });
      }
      this.request();
    });
    // Streamlit listens for plain letters (r runs again, c clears caches); nothing typed here is meant for it.
    this.root.addEventListener("keydown", (event) => {
      if (!event.ctrlKey && !event.metaKey && !event.altKey) event.stopPropagation();
    }, options);
    document.addEventListener("keydown", (event) => {
      if (event.key !== " " || !this.over || document.activeElement !== document.body) return;
      event.preventDefault(); // while the pointer is on a picture, Space uncovers it and does not scroll
      this.uncover(true);
    }, options);
    globalThis.addEventListener("keyup", (event) => { if (event.key === " ") this.uncover(false); }, options);
    globalThis.addEventListener("blur", () => this.uncover(false), options);
  }

  listenTo(panel) {
    const { stage } = panel.parts, options = { signal: this.stop.signal };
    const on = (name, action) => stage.addEventListener(name, action, options);
    on("pointermove", (event) => this.follow(stage, event));
    on("pointerdown", (event) => {
      const shown = this.pointer && event.pointerType !== "mouse" ? this.tap : null;
      this.isSecondTap = shown && Math.hypot(event.clientX - shown[0], event.clientY - shown[1]) < SECOND_TAP;
      this.tap = [event.clientX, event.clientY];
      this.follow(stage, event);
    });
    on("pointerleave", (event) => { if (event.pointerType === "mouse") this.leave(); });
    on("click", (event) => {
      if (event.pointerType && event.pointerType !== "mouse" && !this.isSecondTap) return; // a first tap only looks
      this.pins.add(this.query); // what is shown is what gets pinned: a click's own coordinates are rounded
    });
    on("keydown", (event) => this.key(panel, event));
    on("blur", () => this.uncover(false));
  }

  pixelAt(stage, event) {
    const box = stage.getBoundingClientRect();
    const along = (offset, length, pixels) => Math.max(0, Math.min(pixels - 1, Math.floor((offset / length) * pixels)));
    return [
      along(event.clientY - box.top, box.height, this.height),
      along(event.clientX - box.left, box.width, this.width),
    ];
  }

  follow(stage, event) {
    clearTimeout(this.resting);
    this.over = true;
    this.eventTime = event.timeStamp;
    this.moveTo(this.pixelAt(stage, event));
  }

  leave() {
    this.over = false;
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

  key(panel, event) {
    if (event.target !== panel.parts.stage || event.ctrlKey || event.metaKey || event.altKey) return;
    const arrow = ARROWS[event.key];
    if (arrow) this.step(panel, arrow, event.shiftKey ? 5 : 1);
    else if (event.key === "Enter") this.pins.add(this.query);
    else if (event.key === "Delete" || event.key === "Backspace") this.pins.remove(this.pins.nearest(this.query));
    else if (event.key === " ") this.uncover(true);
    else return;
    event.preventDefault();
  }

  /** Moves the point by cells of the panel's own grid, or of the first map's if it has none. */
  step(panel, [down, right], cells) {
    const mapped = [panel, ...this.panels].find((other) => other.isMap && other.loaded);
    if (!mapped) return;
    const [row, column] = mapped.cellAt(this.query), [rows, columns] = mapped.grid;
    const next = [Math.max(0, Math.min(rows - 1, row + down * cells)), Math.max(0, Math.min(columns - 1, column + right * cells))];
    this.moveTo(pixelOf(mapped.factors, ...next, this.height, this.width));
    this.draw(); // now, so that the value can be read out
    this.pins.say(`y ${this.query[0]}, x ${this.query[1]}: ${mapped.parts.value.textContent}`);
  }

  uncover(bare) {
    this.root.classList.toggle("bare", bare);
  }

  // ---- drawing -------------------------------------------------------------------------------------------

  placeMarkers() {
    for (const panel of this.panels) panel.parts.marks.replaceChildren(...this.pins.markers(this.height, this.width));
  }

  /** Any number of events lead to one drawing per frame. */
  request() {
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  draw() {
    cancelAnimationFrame(this.frame);
    this.frame = null;
    const ready = this.panels.filter((panel) => panel.loaded);
    if (!this.query) return;
    for (const panel of ready) panel.compute(this.query);
    const tops = this.scaleTops(ready);
    for (const panel of ready) {
      panel.draw(tops(panel), settings);
      panel.point(this.pointer, this.query);
    }
    this.where.textContent = `y ${this.query[0]}  x ${this.query[1]}`;
    this.report();
  }

  /** Where each panel's scale ends; a shared one spans all weights, or all features, on the page. */
  scaleTops(panels) {
    const own = (panel) => (panel.isWeights ? panel.top : Math.max(panel.top, -panel.low));
    if (settings.range !== "shared") return own;
    const largest = (kind) => Math.max(...panels.filter((panel) => panel.isMap && panel.isWeights === kind).map(own));
    const [weights, features] = [largest(true), largest(false)];
    return (panel) => (panel.isWeights ? weights : features);
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
