// One map over the picture: its factors, the row or column of the query, and the canvases that show it.
import { strongest } from "./statistics.js";
import { range } from "./arithmetic.js";
import { samplesAt, attendedBy, attendsTo, stripMap } from "./maps.js";
import { cellOf, extent } from "./places.js";
import { outline } from "./outlines.js";
import { colourTable, limitsOf, paint, word } from "./colour.js";
import { drawSamples } from "./samples.js";

const WEIGHTS = ["attends_to", "attended_by", "either", "strip", "points"]; // looks whose values are shares of attention
const FIELDS = ["output", "context", "values"]; // looks whose values do not depend on the point

export class Layer {
  /** `side` holds the layer's canvases; `shape` is the picture's height and width in pixels. */
  constructor(config, [height, width], side) {
    Object.assign(this, { config, height, width, look: config.look });
    [this.map, this.points, this.borders] = ["map", "points", "borders"].map((name) => side.querySelector(`.${name}`));
    this.isWeights = WEIGHTS.includes(config.look);
    this.isShares = config.look === "shares"; // of each pixel, on a scale from 0 to 1 whatever is set
    this.isMap = this.isWeights || this.isShares || FIELDS.includes(config.look);
    this.isLabels = config.look === "labels";
    this.awaited = config.look === "plain" && Boolean(config.stats); // a map may come yet: its room is kept
    this.unit = config.unit ?? (this.isWeights ? "share" : "feature");
    this.version = 0; // counts the maps that were computed
    this.map.classList.toggle("labels", this.isLabels || this.isShares); // pixels, not cells
  }

  /** Waits for the factors. */
  async load(factors) {
    this.factors = await factors;
    if (!this.factors) return;
    const [rows, columns] = this.factors.grid;
    if (this.isWeights) this.values = new Float32Array(rows * columns);
    if (this.isLabels) this.countLabels();
    if (this.isShares) this.values = Float32Array.from(this.factors.shares, (step) => (step > this.factors.most ? NaN : step / this.factors.most));
    else if (this.isMap && !this.isWeights) this.values = this.factors[this.look];
    if (!this.isMap && !this.isLabels) return;
    Object.assign(this.map, { height: rows, width: columns });
    this.canvas = this.map.getContext("2d");
    this.image = this.canvas.createImageData(columns, rows);
    this.words = new Uint32Array(this.image.data.buffer);
    const { top, left, pitchY, pitchX } = extent(this.factors, this.height, this.width);
    const percent = (share) => `${100 * share}%`;
    Object.assign(this.map.style, { top: percent(top), left: percent(left), height: percent(rows * pitchY), width: percent(columns * pitchX) });
  }

  countLabels() {
    this.counts = new Uint32Array(256);
    for (const label of this.factors.labels) this.counts[label] += 1;
  }

  get grid() {
    return this.factors ? this.factors.grid : [this.height, this.width];
  }

  cellAt([y, x]) {
    return this.factors ? cellOf(this.factors, y, x, this.height, this.width) : [y, x];
  }

  /** Computes the map of a query, unless it is the one of the last query; `direction` is for those that have both. */
  compute(query, direction) {
    const [row, column] = this.cellAt(this.config.at ?? query);
    const look = this.config.look === "either" ? direction : this.config.look;
    const moved = row !== this.row || column !== this.column;
    Object.assign(this, { row, column });
    if (!this.isMap || (this.version && look === this.look && !(moved && this.isWeights))) return;
    this.look = look;
    this.fill(row, column);
    this.limits = null;
    this.version += 1;
  }

  fill(row, column) {
    const { factors, values } = this;
    this.evenShare = 1 / values.length;
    switch (this.look) {
      case "attends_to": attendsTo(factors, row, column, values); break;
      case "attended_by": attendedBy(factors, row, column, values); break;
      case "strip":
        this.evenShare = 1 / factors.shapes.keys[0];
        stripMap(factors, factors.axis === "vertical" ? column : row, values);
        break;
      case "points":
        this.samples = samplesAt(factors, row, column);
        this.evenShare = 1 / this.samples.length;
        attendsTo(factors, row, column, values);
        break;
      default: // fields are what they are
    }
    const shown = this.samples ? this.samples.map((sample) => sample.weight) : values;
    [this.low, this.top] = range(shown);
    if (this.config.signed) this.low = Math.min(this.low, -this.top); // 0 in the middle, even if no value is below it
  }

  /** The two values that a scale of this mode spans for this map alone. */
  limitsOf(mode) {
    if (mode !== "percentile" || this.samples) return limitsOf("linear", this.values, this.low, this.top);
    return this.limits ??= limitsOf(mode, this.values, this.low, this.top);
  }

  /** Paints the map on its scale, if anything of it changed. */
  paint(settings) {
    const { scale } = this;
    const look = `${this.version} ${scale.low} ${scale.high} ${scale.logarithmic} ${settings.colours}`;
    if (look === this.painted) return;
    this.painted = look;
    this.table = colourTable(scale.signed ? "signed" : settings.colours);
    if (this.samples) return; // they are dots
    paint(this.words, this.values, scale, this.table);
    this.canvas.putImageData(this.image, 0, 0);
  }

  /** Paints the classes that are not hidden. */
  paintLabels(hidden) {
    const look = [...hidden].join("\n");
    if (look === this.painted) return;
    this.painted = look;
    const { classes, palette } = this.config, { labels } = this.factors, { words } = this;
    const colours = Uint32Array.from({ length: 256 }, (_, label) =>
      label < palette.length && !hidden.has(classes[label]) ? word(...palette[label]) : 0);
    for (let i = 0; i < words.length; i++) words[i] = colours[labels[i]];
    this.canvas.putImageData(this.image, 0, 0);
  }

  /** The parts that are drawn for the screen: samples, and borders of classes. `size` is the stage's, in CSS pixels. */
  drawOnScreen({ settings, hidden, view, size }) {
    if (this.samples) drawSamples(this.sharp(this.points, size), this, size, view);
    this.borders.hidden = !(this.isLabels && (settings.outlines || this.config.levels));
    if (this.borders.hidden || !size.width) return;
    const context = this.sharp(this.borders, size), { width, height } = context.canvas, { classes } = this.config;
    if (this.traced?.width !== width || this.traced.height !== height) this.traced = context.createImageData(width, height);
    const { levels } = this.config, none = levels ? 0 : -1; // levels: the first, or none, and all that rise from it
    const groups = Int16Array.from({ length: 256 }, (_, label) =>
      label >= classes.length || hidden.has(classes[label]) ? none : levels ? Math.min(label, 1) : label);
    // Browsers paint a canvas on whole pixels and only then enlarge it: a quarter of one would be five at twenty times.
    const stretch = [size.height / Math.round(size.height), size.width / Math.round(size.width)];
    outline(new Uint32Array(this.traced.data.buffer), [width, height], this.factors.labels, this.grid, view, groups, stretch, Boolean(levels));
    context.putImageData(this.traced, 0, 0);
  }

  /** A canvas with a pixel for each of the screen's. */
  sharp(canvas, { width, height }) {
    const ratio = globalThis.devicePixelRatio || 1;
    const wide = Math.max(1, Math.round(width * ratio)), high = Math.max(1, Math.round(height * ratio));
    if (canvas.width !== wide || canvas.height !== high) Object.assign(canvas, { width: wide, height: high });
    return canvas.getContext("2d");
  }

  /** The cells of the largest weights, away from the point. */
  peaks() {
    return strongest(this.values, this.grid, this.row, this.column);
  }

  /** The number of the cell of an image pixel. */
  indexAt(pixel) {
    const [row, column] = this.cellAt(pixel);
    return row * this.grid[1] + column;
  }
}
