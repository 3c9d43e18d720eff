// The live viewer, a Streamlit component (v2): linked panels over one picture, drawn without the server.
import { cssGradient } from "./colour.js";
import { setText } from "./dom.js";
import { drawPanels } from "./draw_panels.js";
import { Gestures } from "./gestures.js";
import { Keyboard } from "./keyboard.js";
import { PageHeight } from "./page_height.js";
import { PanelGrid } from "./panel_grid.js";
import { Pins } from "./pins.js";
import { SettingsStore } from "./settings_store.js";
import { SharedLegend } from "./shared_legend.js";
import { Toolbar } from "./toolbar.js";
import { WHOLE, isInView, limitView } from "./view.js";
import { ViewStore } from "./view_store.js";

const ZOOM_STEP = 1.5;
const PHONE = 640; // CSS pixels of the viewer, as in viewer.css
const REST_AFTER = 150; // ms after the pointer has left the pictures until the point returns to the last pin
const CATCH_UP_AFTER = 120; // ms without drawing until panels out of sight are drawn

const viewers = new WeakMap();

class Viewer {
  constructor(root) {
    this.root = root.querySelector(".viewer");
    const find = (name) => this.root.querySelector(`.${name}`);
    [this.where, this.begins, this.ends] = ["where", "begins", "ends"].map(find);
    this.pointer = null; // the image pixel under the pointer
    this.point = null; // the image pixel whose maps are drawn
    this.over = null; // the stage under the pointer, and the pointer's position on the page
    this.follows = false; // whether the pointer has set the point
    this.store = new SettingsStore(() => this.applySettings());
    this.views = new ViewStore();
    this.state = { settings: this.store.current, hidden: new Set(), view: WHOLE, version: 0 }; // shared by all panels
    this.controller = new AbortController();
    const { signal } = this.controller, status = find("status");
    this.announce = (text) => { status.textContent = text; };
    const [panel, side, readout] = ["panel", "side", "readout"].map((name) => find(`${name}-template`));
    this.grid = new PanelGrid(find("panels"), { panel, side, readout }, {
      redraw: () => this.requestDraw(),
      requestBlobs: (count) => this.sendToPython("lost", `${this.pins.mount} ${count}`),
    });
    this.legend = new SharedLegend(find("shared-legend"), this.store);
    this.pins = new Pins(find("pins"), {
      onChange: () => this.updateMarkers(),
      preview: (pixel) => (pixel ? this.setPoint(pixel) : this.endPreview()),
      announce: this.announce,
    });
    this.gestures = new Gestures(this.grid.root, {
      pointAt: (stage, event) => this.pointAt(stage, event),
      leave: () => this.leave(),
      pinAt: (stage, event) => this.pinAt(stage, event),
      pinPoint: () => this.pins.add(this.point),
      unpin: (pin) => this.pins.remove(pin),
      setView: (view) => this.setView(view),
    }, () => this.actualZoom(), signal);
    this.toolbar = new Toolbar(find("toolbar"), {
      set: (name, value) => this.store.set({ [name]: value }),
      zoom: (step) => this.zoom(step),
      opened: () => this.showMap(),
    }, signal);
    this.keyboard = new Keyboard(this, signal);
    this.pageHeight = new PageHeight(this.root, signal);
    this.grid.root.addEventListener("click", (event) => this.fitPins(event), { signal });
    this.root.style.setProperty("--ramp-signed", cssGradient("signed"));
    this.applySettings();
  }

  destroy() {
    this.controller.abort();
    this.pageHeight.release();
    this.grid.destroy();
    cancelAnimationFrame(this.frame);
    clearTimeout(this.later);
    clearTimeout(this.resting);
    this.store.stop();
    this.views.stop();
  }

  /** Applies what Python sends: picture, panels, pins and settings. */
  update({ data: [data], setStateValue }) {
    const { height, width } = data;
    if (height !== this.height || width !== this.width) {
      this.point = this.pointer = null;
      this.gestures.setView(WHOLE);
    }
    if (data.picture !== this.picture) this.moved = false; // whether the reader has set the point
    Object.assign(this, { height, width, picture: data.picture, sendToPython: setStateValue });
    this.store.start(data.settings, (settings) => setStateValue("settings", settings));
    this.views.start(data.view, (view) => setStateValue("view", view));
    this.grid.update(data, this.store);
    this.toolbar.hideUnused(this.grid.panels);
    this.pins.update(data, (edit) => {
      this.pageHeight.hold();
      setStateValue("edit", edit);
    }, (choice) => {
      this.pageHeight.hold();
      setStateValue("choice", choice);
    });
    this.updateMarkers();
    setText(this.begins, data.first ?? "");
    this.ends.classList.toggle("told", Boolean(data.first));
    this.begin(data.rest ?? [height >> 1, width >> 1]);
    this.requestDraw();
  }

  applySettings() {
    const settings = this.store.current;
    Object.assign(this.state, { settings, hidden: new Set(settings.hidden), version: this.state.version + 1 });
    this.toolbar.show(settings);
    this.root.style.setProperty("--ramp", cssGradient(settings.colours));
    this.root.style.setProperty("--opacity", settings.opacity / 100);
    this.root.classList.toggle("pixelated", settings.cells === "cells");
    this.requestDraw();
  }

  /** Takes the pixel at which Python lets the page begin, unless the reader has set the point. */
  begin(start) {
    const isNew = String(start) !== String(this.start);
    this.start = start;
    if (!this.point || (isNew && !this.moved && !this.over)) this.rest(start);
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

  pointAt(stage, event) {
    clearTimeout(this.resting);
    this.over = { stage, clientX: event.clientX, clientY: event.clientY };
    this.setPoint(this.pixelAt(stage, event));
    this.follows = true;
  }

  pinAt(stage, event) {
    this.pointAt(stage, event);
    this.pins.add(this.point);
  }

  /** Returns to the pointer if it is over a picture: its press there may be what ended the preview. */
  endPreview() {
    if (this.over) this.pointAt(this.over.stage, this.over);
    else this.rest();
  }

  leave() {
    if (!this.over) return;
    this.over = null;
    this.resting = setTimeout(() => this.rest(), REST_AFTER);
  }

  setPoint(pixel) {
    this.point = this.pointer = pixel;
    this.moved = true;
    this.follows = false; // unless the pointer set it, the point stays when the picture moves under the pointer
    this.requestDraw();
  }

  /** Without a pointer, the point returns to the last pin, or stays where it is; it starts where Python says. */
  rest(start = this.point) {
    const { last } = this.pins;
    this.follows = false;
    this.pointer = null;
    this.point = last ? [last.y, last.x] : start;
    this.requestDraw();
  }

  // ---- zoom ----------------------------------------------------------------------------------------------

  /** The zoom at which one image pixel is one CSS pixel. */
  actualZoom() {
    const stageWidth = this.grid.panels[0]?.size.width;
    return stageWidth ? this.width / stageWidth : 1;
  }

  /** Zooms by a button or key, about the point if it is in view. */
  zoom(step) {
    const { zoom, top, left } = this.state.view, [y, x] = this.point ?? [0, 0];
    const next = { in: zoom * ZOOM_STEP, out: zoom / ZOOM_STEP, fit: 1, actual: this.actualZoom() }[step];
    const at = [((y + 0.5) / this.height - top) * zoom, ((x + 0.5) / this.width - left) * zoom];
    if (step === "fit") this.gestures.setView(WHOLE);
    else this.gestures.zoomTo(next, ...(at.every((share) => share >= 0 && share <= 1) ? at : [0.5, 0.5]));
    this.announce(`Zoom ${Math.round((100 * this.state.view.zoom) / this.actualZoom())} %`);
  }

  /** Goes back to the whole picture on a click on the line that names the pins outside the view. */
  fitPins(event) {
    const line = event.target.closest(".outside"), isFocused = line && line.getRootNode().activeElement === line;
    if (!line) return;
    this.zoom("fit");
    if (isFocused) line.closest(".stage").focus({ preventScroll: true }); // the line goes, and the focus would go with it
  }

  setView(view) {
    Object.assign(this.state, { view, version: this.state.version + 1 });
    this.views.change(view);
    if (this.over && this.follows) this.point = this.pointer = this.pixelAt(this.over.stage, this.over);
    this.requestDraw();
  }

  /** On a phone, open settings push the map away that is seen: brings it back, so that one sees what a setting does. */
  showMap() {
    if (this.root.offsetWidth > PHONE) return;
    const stages = this.grid.panels.map((panel) => panel.parts.stage), middle = window.innerHeight / 2;
    const apart = (stage) => Math.abs(stage.getBoundingClientRect().top + stage.offsetHeight / 2 - middle);
    stages.sort((one, other) => apart(one) - apart(other))[0]?.scrollIntoView({ block: "nearest" });
  }

  // ---- drawing -------------------------------------------------------------------------------------------

  updateMarkers() {
    for (const panel of this.grid.panels) panel.overlay.setMarkers(this.pins, this.state.view);
  }

  /** Requests one drawing per frame, however many events there are. */
  requestDraw() {
    this.frame ??= requestAnimationFrame(() => this.draw());
  }

  /** Draws the panels in sight, and the others once nothing moves any more. */
  draw(all = this.store.current.range === "shared") { // a shared scale needs every map
    cancelAnimationFrame(this.frame);
    clearTimeout(this.later);
    this.frame = null;
    if (!this.point) return;
    if (this.views.first && this.grid.panels[0]?.size.width) {
      this.gestures.setView(limitView(this.views.takeFirst(), this.actualZoom()));
    }
    const { panels } = this.grid, near = panels.filter((panel) => panel.loaded && (all || panel.inSight));
    drawPanels(near, this);
    this.legend.update(panels, this.state.hidden);
    this.drawLater(panels.filter((panel) => panel.loaded && !near.includes(panel)), CATCH_UP_AFTER);
    this.showOutside();
    const isFirst = !this.moved && !this.pins.last && String(this.point) === String(this.start);
    this.begins.hidden = !isFirst || !this.begins.textContent;
    setText(this.where, `y\u00a0${this.point[0]}  x\u00a0${this.point[1]}`);
  }

  /** Names the pins outside the view, on the first picture in sight alone. */
  showOutside() {
    const { view } = this.state, { panels } = this.grid;
    const text = this.pins.outsideText(({ y, x }) => isInView(view, (y + 0.5) / this.height, (x + 0.5) / this.width));
    const first = panels.find((panel) => panel.loaded && panel.inSight);
    for (const panel of panels) panel.overlay.showOutside(panel === first ? text : "");
  }

  /** Draws one panel after the other until something else is to be drawn. */
  drawLater([next, ...others], wait) {
    if (!next) return;
    this.later = setTimeout(() => {
      drawPanels([next], this);
      this.drawLater(others, 0);
    }, wait);
  }
}

export default function mountViewer(component) {
  const { parentElement } = component;
  let viewer = viewers.get(parentElement);
  if (!viewer) viewers.set(parentElement, (viewer = new Viewer(parentElement)));
  viewer.update(component);
  return () => {
    viewer.destroy();
    viewers.delete(parentElement);
  };
}
