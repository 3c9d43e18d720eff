// One panel: a picture, one map over it or two beside a divider, and what stands below.
import { extent } from "./places.js";
import { LETTERS } from "./statistics.js";
import { element, move } from "./dom.js";
import { Layer } from "./layer.js";
import { Legend } from "./legend.js";
import { dye } from "./pins.js";
import { Reading } from "./reading.js";
import { Divider } from "./swipe.js";

const CRISP = 2; // CSS pixels of a picture's pixel from which on its pixels are shown as squares
const WAYS = { attends_to: "attends to", attended_by: "attended by" };

export class Panel {
  /** `config` is what Python says of the panel; `shape` the picture's height and width in pixels. */
  constructor(config, shape, templates, number) {
    this.config = config;
    [this.height, this.width] = shape;
    this.root = document.importNode(templates.panel.content.firstElementChild, true); // a mere clone loads no pictures
    this.parts = Object.fromEntries(["stage", "layers", "picture", "strip", "cell", "peaks", "lines", "marks", "trouble",
      "under", "legend", "title", "way", "note", "badge"].map((name) => [name, this.root.querySelector(`.${name}`)]));
    this.size = { width: 0, height: 0 }; // of the stage, in CSS pixels
    this.inSight = true; // until the browser says otherwise
    const sides = config.look === "swipe" ? config.sides : [config];
    this.layers = sides.map((side) => {
      const node = document.importNode(templates.side.content.firstElementChild, true);
      this.parts.strip.before(node);
      return new Layer({ ...side, at: config.at }, shape, node);
    });
    this.readings = this.layers.map((layer, index) => {
      const node = document.importNode(templates.reading.content.firstElementChild, true);
      this.parts.legend.before(node);
      node.querySelector(".value").id = `value-${number}-${index}`;
      return new Reading(node, layer, sides.length > 1 ? sides[index].title : "");
    });
    this.worlds = [...this.root.querySelectorAll(".world")];
    this.describe(sides);
  }

  describe(sides) {
    const { stage, title, note, badge, legend } = this.parts, { config } = this;
    title.textContent = config.title;
    note.textContent = config.note;
    stage.dataset.panel = config.title;
    stage.style.aspectRatio = `${this.width} / ${this.height}`;
    stage.style.setProperty("--ratio", this.width / this.height);
    stage.setAttribute("aria-label", `${config.title}. Arrow keys move the point, Enter pins it, Delete removes a pin, plus and minus zoom.`);
    stage.setAttribute("aria-describedby", this.readings.map(({ parts }) => parts.value.id).join(" "));
    badge.hidden = !config.pin;
    if (config.pin) {
      badge.textContent = config.pin.number;
      dye(this.root, config.pin.colour);
      this.root.classList.add("pinned");
    }
    legend.hidden = !this.has("isLabels");
    stage.classList.toggle("swipe", sides.length > 1);
    if (sides.length > 1) this.divider = new Divider(stage, sides.map((side) => side.title));
    for (const [rank, letter] of [...LETTERS].entries()) {
      const box = element("i", "peak", element("b", "", letter));
      box.style.zIndex = LETTERS.length - rank; // the strongest on top
      this.parts.peaks.append(box);
    }
  }

  /** Fetches picture and factors. `data-ready` follows with the first drawing. */
  async load(picture, factorsOf, preferences) {
    const { picture: img } = this.parts;
    try {
      img.src = picture;
      const factors = this.layers.map(({ config }) => (config.map ? factorsOf(config.map) : null));
      await Promise.all([...this.layers.map((layer, index) => layer.load(factors[index])), img.decode()]);
      if (this.has("isLabels")) this.legend = new Legend(this.parts.legend, this.layers.filter((one) => one.isLabels), preferences);
      this.loaded = true;
    } catch (error) {
      this.fail(error);
    }
  }

  /** The panel says that it failed; the others go on. */
  fail(error) {
    console.error(error);
    const { trouble, stage } = this.parts;
    this.failed = error;
    this.loaded = false;
    delete stage.dataset.ready;
    trouble.textContent = "This map could not be loaded. Reload the page.";
    trouble.hidden = false;
  }

  /** Whether one of its maps is of a sort: isWeights, isMap, isLabels. */
  has(sort) {
    return this.layers.some((layer) => layer[sort]);
  }

  /** The layer whose cells the keyboard walks over and the outline shows; null if none has any. */
  get mapped() {
    return this.layers.find((layer) => layer.isMap && !layer.isShares) ?? null;
  }

  /** What stands below the picture about the point, for those who listen. */
  told() {
    return this.readings.map((reading) => reading.told()).filter(Boolean).join("; ");
  }

  /** Computes the maps of a query point. */
  compute(query, settings) {
    this.query = query;
    for (const layer of this.layers) layer.compute(query, settings.direction);
  }

  /** Draws all that changed; the layers know their scales, and `state` is what all panels share. */
  draw(state) {
    const { stage } = this.parts, { settings, hidden, view } = state;
    const [first] = this.layers, key = `${first.row},${first.column}`;
    if (stage.dataset.cell !== key) stage.dataset.cell = key;
    const maps = this.layers.map(({ version, scale }) => [version, scale?.low, scale?.high]);
    const look = `${maps} ${state.version} ${this.size.width}`; // the pointer alone changes nothing of labels and fields
    if (look === this.drawn) return;
    this.drawn = look;
    this.layers.forEach((layer, index) => {
      if (layer.isLabels) layer.paintLabels(hidden);
      if (layer.isMap) {
        layer.paint(settings);
        this.readings[index].showScale();
        this.readings[index].showFigures();
      }
      layer.drawOnScreen({ settings, hidden, view, size: this.size });
    });
    if (this.mapped) stage.dataset.max = String(this.mapped.top);
    stage.classList.toggle("dimmed", Boolean(first.samples));
    this.legend?.show(hidden);
    this.showWay(settings);
    this.placeView(view);
    this.placeCell(view);
    this.placePeaks(settings, view);
    stage.dataset.ready = "1";
  }

  showWay({ direction }) {
    const { way, stage } = this.parts;
    way.hidden = !this.layers.some(({ config }) => config.look === "either");
    if (way.hidden) return;
    way.textContent = WAYS[direction];
    stage.dataset.direction = direction;
  }

  /** Moves the picture and its maps to where the view has them. */
  placeView(view) {
    const place = `scale(${view.zoom}) translate(${-100 * view.left}%, ${-100 * view.top}%)`;
    if (place === this.placed) return;
    this.placed = place;
    for (const world of this.worlds) world.style.transform = place;
    this.placeMarks(view);
    const { stage } = this.parts;
    stage.classList.toggle("crisp", (view.zoom * this.size.width) / this.width >= CRISP);
    stage.dataset.view = [view.zoom, view.left, view.top].map((value) => Number(value.toFixed(4))).join();
  }

  /** Outlines the query's cell, and the strip that it lies in. */
  placeCell(view) {
    const { cell, strip } = this.parts, layer = this.layers.find((one) => one.isWeights);
    cell.hidden = !layer;
    strip.hidden = layer?.look !== "strip";
    if (!layer) return;
    const { top, left, pitchY, pitchX } = extent(layer.factors, this.height, this.width), { row, column } = layer;
    this.over(cell, view, top + row * pitchY, left + column * pitchX, pitchY, pitchX);
    if (strip.hidden) return;
    if (layer.factors.axis === "vertical") this.over(strip, view, 0, left + column * pitchX, 1, pitchX);
    else this.over(strip, view, top + row * pitchY, 0, pitchY, 1);
  }

  /** Lettered boxes over the strongest cells, away from the point. */
  placePeaks({ strongest }, view) {
    const { peaks } = this.parts;
    peaks.hidden = !strongest || !this.has("isWeights");
    this.readings.forEach((reading, index) => {
      const layer = this.layers[index], shown = strongest && layer.isWeights, cells = shown ? layer.peaks() : null;
      reading.showPeaks(cells);
      if (!shown || index > 0) return; // boxes of two maps in one picture would tell nobody whose they are
      const { top, left, pitchY, pitchX } = extent(layer.factors, this.height, this.width), columns = layer.grid[1];
      [...peaks.children].forEach((box, rank) => {
        box.hidden = rank >= cells.length;
        if (box.hidden) return;
        const row = Math.floor(cells[rank] / columns), column = cells[rank] % columns;
        box.dataset.cell = `${row},${column}`;
        this.over(box, view, top + row * pitchY, left + column * pitchX, pitchY, pitchX);
      });
    });
  }

  /** Puts an element over a part of the picture. */
  over(element, { zoom, top, left }, y, x, height, width) {
    const { size } = this;
    move(element, (y - top) * zoom * size.height, (x - left) * zoom * size.width, height && height * zoom, width && width * zoom);
  }

  /** Cross hair and the value under it; `pointer` is an image pixel, or null when nobody points. */
  point(pointer, view) {
    const { lines } = this.parts;
    lines.hidden = !pointer;
    if (pointer) this.over(lines, view, (pointer[0] + 0.5) / this.height, (pointer[1] + 0.5) / this.width);
    const at = pointer ?? this.config.at ?? this.query;
    for (const reading of this.readings) reading.point(at);
  }

  /** Puts the pins' markers where they belong; those outside of the view are hidden. */
  mark(markers, view) {
    this.parts.marks.replaceChildren(...markers);
    this.placeMarks(view);
  }

  placeMarks({ zoom, top, left }) {
    for (const marker of this.parts.marks.children) {
      const y = ((marker.pin.y + 0.5) / this.height - top) * zoom, x = ((marker.pin.x + 0.5) / this.width - left) * zoom;
      marker.hidden = y < 0 || x < 0 || y > 1 || x > 1;
      Object.assign(marker.style, { top: `${100 * y}%`, left: `${100 * x}%` });
    }
  }
}
