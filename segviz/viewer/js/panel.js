// One panel: a picture, one map over it or two beside a divider, and the lines below.
import { Divider } from "./divider.js";
import { Layer } from "./layer.js";
import { Legend } from "./legend.js";
import { Overlay } from "./overlay.js";
import { setPinColour } from "./pins.js";
import { Readout } from "./readout.js";

const CRISP = 2; // CSS pixels per image pixel from which the image pixels are shown as squares
const KEYS = "Arrow keys move the point, Enter pins it, Delete removes the nearest pin, plus and minus zoom.";
const DIRECTIONS = { attends_to: "what the point attends to", attended_by: "what attends to the point" };
const PARTS = ["stage", "picture", "strip", "cell", "crest", "peaks", "lines", "marks", "outside", "crop", "error", "below", "legend", "title",
  "direction", "note", "worth", "badge"]; // class names

export class Panel {
  /** `config` is Python's description of the panel; `shape` is the picture's height and width in pixels. */
  constructor(config, shape, templates, number) {
    this.config = config;
    [this.height, this.width] = shape;
    this.root = document.importNode(templates.panel.content.firstElementChild, true); // cloneNode loads no picture
    this.parts = Object.fromEntries(PARTS.map((name) => [name, this.root.querySelector(`.${name}`)]));
    this.size = { width: 0, height: 0 }; // of the stage, in CSS pixels
    this.inSight = true; // until the browser reports otherwise
    const sides = config.look === "swipe" ? config.sides : [config];
    this.layers = sides.map((side) => {
      const node = document.importNode(templates.side.content.firstElementChild, true);
      this.parts.strip.before(node);
      return new Layer({ ...side, at: config.at }, shape, node);
    });
    this.readouts = this.layers.map((layer, index) => {
      const node = document.importNode(templates.readout.content.firstElementChild, true);
      this.parts.legend.before(node);
      node.querySelector(".value").id = `value-${number}-${index}`;
      return new Readout(node, layer, sides.length > 1 ? sides[index].title : "");
    });
    this.worlds = [...this.root.querySelectorAll(".world")];
    this.overlay = new Overlay(this.parts, shape);
    this.describe(config);
    const { stage, legend } = this.parts;
    stage.style.aspectRatio = `${this.width} / ${this.height}`;
    stage.style.setProperty("--ratio", this.width / this.height);
    stage.setAttribute("aria-describedby", this.readouts.map(({ parts }) => parts.value.id).join(" "));
    legend.hidden = !this.has("isLabels") || config.legend === false; // all panels may share one
    stage.classList.toggle("swipe", sides.length > 1);
    if (sides.length > 1) this.divider = new Divider(stage, sides.map((side) => side.title));
  }

  /** Takes a description with the same map; its titles, its head, its pin and its place may differ. */
  describe(config) {
    const { stage, title, note, worth, badge } = this.parts;
    this.config = config;
    if (config.look !== "swipe") this.layers[0].config = config;
    title.textContent = config.title;
    note.textContent = config.note;
    worth.textContent = config.worth ?? "";
    worth.hidden = !config.worth;
    stage.dataset.panel = config.title;
    stage.setAttribute("aria-label", `${config.title}. ${KEYS}`);
    badge.hidden = !config.pin;
    this.root.classList.toggle("pinned", Boolean(config.pin));
    for (const name of ["wide", "leads"]) this.root.classList.toggle(name, Boolean(config[name]));
    if (!config.pin) return;
    badge.textContent = config.pin.number;
    setPinColour(this.root, config.pin.colour);
  }

  /** Fetches the picture and the factors. The first drawing sets `data-ready`. */
  async load(picture, fetchFactors, store) {
    const { picture: img } = this.parts;
    try {
      img.src = picture;
      const factors = this.layers.map(({ config }) => (config.map ? fetchFactors(config.map) : null));
      await Promise.all([...this.layers.map((layer, index) => layer.load(factors[index])), img.decode()]);
      const labels = this.layers.filter((layer) => layer.isLabels);
      for (const readout of this.readouts) readout.offerRest(() => store.set({ scale: "percentile" }));
      if (labels.length && this.config.legend !== false) this.legend = new Legend(this.parts.legend, labels, store);
      this.loaded = true;
    } catch (error) {
      this.showError(error);
    }
  }

  /** Shows a message in place of the picture. */
  showError(exception) {
    console.error(exception);
    const { error, stage } = this.parts;
    this.failed = exception;
    this.loaded = false;
    delete stage.dataset.ready;
    error.textContent = "This map could not be loaded. Reload the page.";
    error.hidden = false;
  }

  resize(size) {
    this.size = this.overlay.size = size;
    this.placed = null;
  }

  /** Whether any layer has a property: isWeights, isMap or isLabels. */
  has(property) {
    return this.layers.some((layer) => layer[property]);
  }

  /** The layer whose cells the arrow keys move by; null if no layer has cells. */
  get cellLayer() {
    return this.layers.find((layer) => layer.isMap && !layer.isShares) ?? null;
  }

  /** The readouts as text, for screen readers. */
  readoutText() {
    return this.readouts.map((readout) => readout.text()).filter(Boolean).join("; ");
  }

  /** Computes the maps for a point. */
  compute(point, settings) {
    this.point = point;
    for (const layer of this.layers) layer.compute(point, settings.direction);
  }

  /** Draws what has changed. The layers have their scales; `state` is shared by all panels. */
  draw(state) {
    const { stage } = this.parts, { settings, hidden, view } = state;
    const [first] = this.layers, key = `${first.row},${first.column}`;
    if (stage.dataset.cell !== key) stage.dataset.cell = key;
    const maps = this.layers.map(({ version, isAway, scale }) => [version, isAway, scale?.low, scale?.high]);
    const look = `${maps} ${state.version} ${this.size.width}`; // the point alone changes no labels or features
    if (look === this.drawn) return;
    this.drawn = look;
    this.layers.forEach((layer, index) => {
      if (layer.isLabels) layer.paintLabels(hidden);
      if (layer.isMap) {
        layer.paintMap({ settings, view, size: this.size });
        this.readouts[index].showScale();
        this.readouts[index].showLargest();
        this.readouts[index].showStatistics();
        this.readouts[index].showAside();
        this.readouts[index].showAway();
      }
      layer.drawOnScreen({ settings, hidden, view, size: this.size });
    });
    if (this.cellLayer) stage.dataset.max = String(this.cellLayer.top);
    stage.classList.toggle("dimmed", Boolean(first.samples));
    this.legend?.show(hidden);
    this.showDirection(settings);
    this.setView(view);
    this.overlay.showCrop(first, view);
    this.overlay.showCell(this.layers.find((layer) => layer.isPointed && !layer.isAway), view);
    this.overlay.showCrest(first, first.isAway ? null : this.readouts[0].crest, view);
    this.showStrongest(settings, view);
    this.overlay.placeLabels();
    stage.dataset.ready = "1";
  }

  showDirection({ direction }) {
    const { direction: text, stage } = this.parts;
    text.hidden = !this.layers.some(({ config }) => config.look === "either");
    if (text.hidden) return;
    text.textContent = DIRECTIONS[direction];
    stage.dataset.direction = direction;
  }

  /** Zooms and moves the picture and its maps to the view. */
  setView(view) {
    const transform = `scale(${view.zoom}) translate(${-100 * view.left}%, ${-100 * view.top}%)`;
    if (transform === this.placed) return;
    this.placed = transform;
    for (const world of this.worlds) world.style.transform = transform;
    this.overlay.placeMarkers(view);
    const { stage } = this.parts;
    stage.classList.toggle("crisp", (view.zoom * this.size.width) / this.width >= CRISP);
    stage.dataset.view = [view.zoom, view.left, view.top].map((value) => Number(value.toFixed(4))).join();
  }

  /** Boxes and lists the strongest cells, away from the point. */
  showStrongest({ strongest }, view) {
    this.parts.peaks.hidden = !strongest || !this.has("isPointed") || this.has("isAway");
    this.readouts.forEach((readout, index) => {
      const layer = this.layers[index], cells = strongest && layer.isPointed && !layer.isAway ? layer.strongestCells() : null;
      readout.showStrongest(cells);
      if (cells && index === 0) this.overlay.placeBoxes(layer, cells, view); // not of both sides
    });
  }

  /** Shows the cross hair and the value under it; `pointer` is an image pixel, or null if there is no pointer. */
  showPointer(pointer, view) {
    this.overlay.showCrossHair(pointer, view);
    const pixel = pointer ?? this.config.at ?? this.point, hasValue = this.has("isLabels") || this.has("isMap");
    if (hasValue && !this.has("isPointed")) this.overlay.showPixel(pointer ? null : pixel, view); // "here", as on the maps
    for (const readout of this.readouts) readout.showValue(pixel);
  }
}
