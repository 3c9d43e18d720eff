// One map over the picture: its factors, its values for the point, and the canvases that show it.
import { range } from "./arithmetic.js";
import { queriesLooking } from "./aside.js";
import { cellOf, extent, gridsOf, isOutside } from "./cells.js";
import { colourTable, paintValues, rgbaWord, scaleLimits } from "./colour.js";
import { deformablePoints } from "./deformable.js";
import { drawSamples } from "./draw_samples.js";
import { attendedBy, attendsTo, queryMap } from "./maps.js";
import { traceOutlines } from "./outlines.js";
import { samplesAt } from "./samples.js";
import { strongestCells, strongestOfBlocks } from "./statistics.js";
import { stripMap } from "./strips.js";

const POINTED = ["attends_to", "attended_by", "either", "strip", "points", "query"]; // looks whose values depend on the point
const PEAKED = 50; // times the even share, above which one cell hides the others; start_scale.py has the same
const HIDING = 0.2; // of a map's weight: what the cell must hold, too, for the panel to offer the rest
const FIELDS = ["output", "context", "values"]; // looks whose values are the same for every point

export class Layer {
  /** `side` contains the layer's canvases; height and width are the picture's, in pixels. */
  constructor(config, [height, width], side) {
    Object.assign(this, { config, height, width, look: config.look });
    [this.map, this.points, this.borders] = ["map", "points", "borders"].map((name) => side.querySelector(`.${name}`));
    this.isPointed = POINTED.includes(config.look);
    this.isWeights = this.isPointed && !config.unit; // attention; cosines have a unit, and no even share
    this.isShares = config.look === "shares"; // a share per pixel; its scale is always 0 to 1
    this.isMap = this.isPointed || this.isShares || FIELDS.includes(config.look);
    this.isLabels = config.look === "labels";
    this.isPending = config.look === "plain" && Boolean(config.pending || config.stats); // a map follows: its space is reserved
    this.unit = config.unit ?? (this.isWeights ? "share" : "feature");
    this.version = 0; // counts computed maps
    this.part = config.region ? { region: config.region, shape: [height, width] } : null; // the crop that the network saw
    this.isAway = false; // whether the point lies outside that crop, where the map has no answer
    this.map.classList.toggle("labels", this.isLabels || this.isShares); // pixels, not cells
  }

  /** Takes the factors once they are fetched. */
  async load(factors) {
    this.factors = await factors;
    if (!this.factors) return;
    if (this.isLabels) this.countLabels();
    if (this.isShares) {
      const { shares, steps } = this.factors;
      this.values = Float32Array.from(shares, (step) => (step > steps ? NaN : step / steps));
    } else if (this.isMap && !this.isPointed) this.values = this.factors[this.look];
    this.layOut(this.look);
  }

  /** Makes the canvas for the grid on which a look's values lie. */
  layOut(look) {
    this.grids = gridsOf(this.factors, look, this.part);
    const [rows, columns] = this.grid;
    if (this.isPointed) Object.assign(this, { values: new Float32Array(rows * columns), low: 0, top: 0 });
    if (!this.isMap && !this.isLabels) return;
    this.context = this.map.getContext("2d");
    this.sizeCanvas(1);
  }

  /** Makes a pixel of the canvas for each block of `step` x `step` cells. */
  sizeCanvas(step) {
    const [down, along] = this.grid.map((cells) => Math.ceil(cells / step));
    Object.assign(this.map, { height: down, width: along });
    Object.assign(this, { step, image: this.context.createImageData(along, down), painted: null });
    this.words = new Uint32Array(this.image.data.buffer);
    const { top, left, pitchY, pitchX } = extent(this.grids.values);
    const percent = (share) => `${100 * share}%`;
    Object.assign(this.map.style, {
      top: percent(top), left: percent(left), height: percent(down * step * pitchY), width: percent(along * step * pitchX),
    });
  }

  /** How many cells of a pointed map share a pixel of the screen along a side, at the most; else 1. */
  cellsInPixel({ width, height }, { zoom }) {
    if (!this.isPointed || !width) return 1;
    const { pitchY, pitchX } = extent(this.grids.values), ratio = (globalThis.devicePixelRatio || 1) * zoom;
    return Math.max(1, Math.ceil(1 / (pitchY * height * ratio) - 1e-6), Math.ceil(1 / (pitchX * width * ratio) - 1e-6));
  }

  countLabels() {
    this.counts = new Uint32Array(256);
    for (const label of this.factors.labels) this.counts[label] += 1;
  }

  /** The grid of the values. */
  get grid() {
    return this.factors ? this.grids.values.grid : [this.height, this.width];
  }

  /** The cell of an image pixel among the values, or on the point's grid. */
  cellAt([y, x], side = "values") {
    return this.factors ? cellOf(this.grids[side], y, x, this.height, this.width) : [y, x];
  }

  /** The point's cell (row, column) in cells of the values' grid; on another grid it is no whole number. */
  get centre() {
    const { row, column } = this;
    if (!this.factors?.key_grid) return [row, column];
    const [[rows, columns], [down, along]] = [this.grids.point.grid, this.grid];
    return [((row + 0.5) * down) / rows - 0.5, ((column + 0.5) * along) / columns - 0.5];
  }

  /** Computes the values for the point unless they are up to date; `direction` applies to the look "either". */
  compute(point, direction) {
    const { look: choice, head = "mean" } = this.config, look = choice === "either" ? direction : choice;
    const changed = look !== this.look || head !== this.head;
    if (look !== this.look && this.factors?.key_grid) this.layOut(look);
    const at = this.config.at ?? point, isAway = this.isPointed && isOutside(this.part, at);
    if (isAway !== this.isAway) this.showAway(isAway);
    if (isAway) return;
    const [row, column] = this.cellAt(at, "point");
    const moved = row !== this.row || column !== this.column;
    Object.assign(this, { row, column });
    if (!this.isMap || (this.version && !changed && !(moved && this.isPointed))) return;
    Object.assign(this, { look, head });
    this.fillValues(row, column);
    this.limits = null;
    this.version += 1;
  }

  /** Hides the map while the point lies outside its crop. */
  showAway(isAway) {
    this.isAway = isAway;
    this.map.hidden = this.points.hidden = isAway;
  }

  fillValues(row, column) {
    const { factors, values, head } = this, [rows, columns] = factors.key_grid ?? factors.grid;
    this.evenShare = 1 / (rows * columns);
    switch (this.look) {
      case "attends_to": attendsTo(factors, row, column, values, head); break;
      case "attended_by": attendedBy(factors, row, column, values, head); break;
      case "query":
        this.findQuery(row, column);
        queryMap(factors, this.query, values, head);
        break;
      case "strip":
        this.evenShare = 1 / factors.shapes.keys[0];
        stripMap(factors, factors.axis === "vertical" ? column : row, values);
        break;
      case "points":
        this.fillSamples(row, column);
        break;
      default: // the other looks never change
    }
    const drawn = this.samples ? this.samples.map((sample) => sample.weight) : values;
    [this.low, this.top] = range(drawn);
    if (this.config.signed) this.low = Math.min(this.low, -this.top); // 0 in the middle, even without negative values
  }

  /** Finds the query whose map is shown: the panel's, or the object query that draws most from the cell. */
  findQuery(row, column) {
    this.query = this.config.query ?? null;
    this.looking = this.query === null ? queriesLooking(this.factors, row, column, this.head) : null;
    if (this.looking) this.query = this.looking[0].query;
  }

  /** Takes the samples of a cell, or of an object query, and the weights that they put on each cell. */
  fillSamples(row, column) {
    const { factors, values, head } = this, { kind, grid, heads } = factors, cell = row * grid[1] + column;
    if (kind === "deformable objects") {
      this.findQuery(row, column);
      queryMap(factors, this.query, values, head);
    } else attendsTo(factors, row, column, values, head);
    this.samples = kind === "samples" ? samplesAt(factors, row, column) : deformablePoints(factors, this.query ?? cell, head);
    this.evenShare = (head === "largest" ? heads : 1) / this.samples.length; // "largest" has the weights of every head
  }

  /** Whether a kind of scale applies: a log scale has no room for negative values, and of a few samples none is cut off. */
  applies(kind) {
    if (kind === "log") return !this.config.signed && !["output", "context"].includes(this.look);
    return kind !== "percentile" || this.config.look !== "points";
  }

  /** The map's kind of scale: what the reader chose or, with "auto", what the map starts with. */
  scaleKind({ scale }) {
    const kind = scale === "auto" ? this.config.start ?? "linear" : scale;
    return this.applies(kind) ? kind : "linear";
  }

  /** The index of the largest weight's cell, and whether it hides the others: holds a large share of the map's weight. */
  largestWeight() {
    const { samples, values, top, evenShare } = this, isPeaked = top > PEAKED * evenShare;
    if (samples || this.look === "strip") return { cell: null, isPeaked: isPeaked && top >= HIDING };
    let sum = 0;
    for (let i = 0; i < values.length; i++) sum += values[i];
    if (this.look !== "attended_by" && (this.factors.off || this.head === "largest")) sum = 1; // it is a weight, no share of these
    return { cell: values.indexOf(top), isPeaked: isPeaked && top / sum >= HIDING && !(this.low < 0) };
  }

  /** The limits of a scale of this mode for this map alone. */
  scaleLimits(mode) {
    if (mode !== "percentile" || this.samples) return scaleLimits("linear", this.values, this.low, this.top);
    return this.limits ??= scaleLimits(mode, this.values, this.low, this.top);
  }

  /** Paints the map on its scale if either has changed; where cells share a pixel, the strongest shows, so none is lost. */
  paintMap({ settings, view, size }) {
    const { scale } = this, step = this.cellsInPixel(size, view);
    if (step !== this.step) this.sizeCanvas(step);
    const look = `${this.version} ${scale.low} ${scale.high} ${scale.logarithmic} ${settings.colours}`;
    if (look === this.painted) return;
    this.painted = look;
    this.table = colourTable(scale.signed ? "signed" : settings.colours);
    if (this.samples) return; // samples are drawn as dots
    const drawn = step > 1 ? strongestOfBlocks(this.values, this.grid, step) : this.values;
    paintValues(this.words, drawn, scale, this.table);
    this.context.putImageData(this.image, 0, 0);
  }

  /** Paints the visible classes. */
  paintLabels(hidden) {
    const look = [...hidden].join("\n");
    if (look === this.painted) return;
    this.painted = look;
    const { classes, palette } = this.config, { labels } = this.factors, { words } = this;
    const colours = Uint32Array.from({ length: 256 }, (_, label) =>
      label < palette.length && !hidden.has(classes[label]) ? rgbaWord(...palette[label]) : 0);
    for (let i = 0; i < words.length; i++) words[i] = colours[labels[i]];
    this.context.putImageData(this.image, 0, 0);
  }

  /** Draws samples and outlines at the screen's resolution. `size` is the stage's, in CSS pixels. */
  drawOnScreen({ settings, hidden, view, size }) {
    if (this.samples) drawSamples(this.sharpContext(this.points, size), this, size, view);
    this.borders.hidden = !(this.isLabels && (settings.outlines || this.config.levels));
    if (this.borders.hidden || !size.width) return;
    const context = this.sharpContext(this.borders, size), { width, height } = context.canvas, { classes } = this.config;
    if (this.outlines?.width !== width || this.outlines.height !== height) {
      this.outlines = context.createImageData(width, height);
    }
    const { levels } = this.config, none = levels ? 0 : -1; // levels: the lowest one, and all above it
    const groups = Int16Array.from({ length: 256 }, (_, label) =>
      label >= classes.length || hidden.has(classes[label]) ? none : levels ? Math.min(label, 1) : label);
    // Browsers paint a canvas on whole pixels and enlarge it afterwards: a quarter pixel would become five at 20 x.
    const stretch = [size.height / Math.round(size.height), size.width / Math.round(size.width)];
    const pixels = new Uint32Array(this.outlines.data.buffer), { labels } = this.factors;
    traceOutlines(pixels, [width, height], labels, this.grid, view, groups, stretch, Boolean(levels));
    context.putImageData(this.outlines, 0, 0);
  }

  /** The context of a canvas resized to the screen's resolution. */
  sharpContext(canvas, { width, height }) {
    const ratio = globalThis.devicePixelRatio || 1;
    const wide = Math.max(1, Math.round(width * ratio)), high = Math.max(1, Math.round(height * ratio));
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    return canvas.getContext("2d");
  }

  /** The cells with the largest weights, away from the point. */
  strongestCells() {
    return strongestCells(this.values, this.grid, ...this.centre);
  }

  /** The index of an image pixel's cell. */
  indexAt(pixel) {
    const [row, column] = this.cellAt(pixel);
    return row * this.grid[1] + column;
  }
}
