// One panel: a picture, the map over it, its colour bar and its legend.
import { cellOf, extent, range, samplesAt, seenBy, seenFrom, stripMap } from "./maps.js";
import { colourTable, number, paint, scaleOf, share, word } from "./viewer_colour.js";

const WEIGHTS = ["from", "by", "strip", "points"]; // looks whose values are shares of attention

export class Panel {
  /** `config` is what Python says of the panel; `shape` the picture's height and width in pixels. */
  constructor(config, shape, template) {
    this.config = config;
    [this.height, this.width] = shape;
    this.root = document.importNode(template.content.firstElementChild, true); // a mere clone cannot load pictures
    const find = (name) => this.root.querySelector(`.${name}`);
    this.parts = Object.fromEntries(["stage", "picture", "map", "points", "strip", "cell", "lines", "marks", "trouble",
      "scale", "bar", "even", "needle", "low", "high", "value", "legend", "title", "note", "badge"]
      .map((name) => [name, find(name)]));
    this.isWeights = WEIGHTS.includes(config.look);
    this.isMap = this.isWeights || config.look === "output" || config.look === "context";
    this.hidden = new Set(); // classes switched off in the legend
    this.size = { width: 0, height: 0 }; // of the stage, in CSS pixels
    this.describe();
  }

  describe() {
    const { stage, title, note, badge, scale, legend } = this.parts, { config } = this;
    title.textContent = config.title;
    note.textContent = config.note;
    stage.dataset.panel = config.title;
    stage.style.aspectRatio = `${this.width} / ${this.height}`;
    stage.setAttribute("aria-label", `${config.title}. Arrow keys move the point, Enter pins it, Delete removes a pin.`);
    badge.hidden = !config.pin;
    if (config.pin) {
      badge.textContent = config.pin.number;
      this.root.style.setProperty("--pin", config.pin.colour);
      this.root.classList.add("pinned");
    }
    scale.hidden = !this.isMap;
    legend.hidden = config.look !== "labels";
  }

  /** Fetches picture and factors. `data-ready` follows with the first drawing. */
  async load(picture, factors) {
    const { picture: img, trouble } = this.parts;
    try {
      img.src = picture;
      [this.factors] = await Promise.all([factors, img.decode()]);
      if (this.config.look === "labels") this.buildLegend();
      this.loaded = true;
      trouble.hidden = true;
    } catch (error) {
      console.error(error);
      this.failed = true;
      trouble.textContent = "This map could not be loaded. Reload the page.";
      trouble.hidden = false;
    }
  }

  get grid() {
    return this.factors ? this.factors.grid : [this.height, this.width];
  }

  cellAt([y, x]) {
    return this.factors ? cellOf(this.factors, y, x, this.height, this.width) : [y, x];
  }

  /** Computes the map of a query point, if the point lies in another cell than the last one. */
  compute(query) {
    const cell = this.cellAt(this.config.at ?? query), key = cell.join();
    if (key === this.key) return;
    this.key = key;
    this.cell = cell;
    if (!this.isMap || (this.values && !this.isWeights)) return; // fields do not depend on the point
    this.values = this.valuesAt(...cell);
    [this.low, this.top] = range(this.samples ? this.samples.map((sample) => sample.weight) : this.values);
    this.drawn = null;
  }

  valuesAt(row, column) {
    const { factors } = this, [height, width] = this.grid;
    this.evenShare = 1 / (height * width);
    switch (this.config.look) {
      case "from": return seenFrom(factors, row, column);
      case "by": return seenBy(factors, row, column);
      case "strip":
        this.evenShare = 1 / factors.shapes.keys[0];
        return stripMap(factors, factors.axis === "vertical" ? column : row);
      case "points":
        this.samples = samplesAt(factors, row, column);
        this.evenShare = 1 / this.samples.length;
        return seenFrom(factors, row, column);
      default: return factors[this.config.look];
    }
  }

  /** Draws map, colour bar and marks of the query. `top` is the scale's end, shared or the map's own. */
  draw(top, settings) {
    const { stage, map, even, low, high, bar } = this.parts;
    stage.dataset.cell = this.key;
    const key = `${this.isWeights ? this.key : ""} ${top} ${settings.version}`;
    if (key === this.drawn) return;
    this.drawn = key;
    this.placeCell();
    if (this.isMap) {
      const scale = scaleOf(this.low, top, settings.logarithmic && this.isWeights);
      this.scale = scale;
      const write = this.isWeights ? share : number;
      say(low, scale.logarithmic ? `≤ ${write(scale.low)}` : write(scale.low));
      say(high, write(scale.high));
      bar.classList.toggle("signed", scale.signed);
      stage.dataset.max = String(this.top);
      even.hidden = !this.isWeights || !(scale.position(this.evenShare) <= 1);
      slide(even, scale.position(this.evenShare));
      const table = colourTable(scale.signed ? "signed" : settings.colours);
      if (this.samples) this.drawPoints(table);
      else this.fill(map, this.grid, (pixels) => paint(pixels, this.values, scale, table));
    } else if (this.config.look === "labels") {
      this.fill(map, this.grid, (pixels) => this.paintLabels(pixels));
    }
    stage.dataset.ready = "1";
  }

  /** Fills the grid-sized canvas, which the style sheet stretches over the cells' place on the picture. */
  fill(canvas, [height, width], write) {
    if (canvas.width !== width || canvas.height !== height || !this.image) {
      Object.assign(canvas, { width, height });
      this.context = canvas.getContext("2d");
      this.image = this.context.createImageData(width, height);
      this.pixels = new Uint32Array(this.image.data.buffer);
      const { top, left, pitchY, pitchX } = extent(this.factors, this.height, this.width);
      place(canvas, top, left, height * pitchY, width * pitchX);
    }
    write(this.pixels);
    this.context.putImageData(this.image, 0, 0);
  }

  /** Outlines the query's cell, and the strip that it lies in. */
  placeCell() {
    const { cell, strip } = this.parts, asked = this.isWeights;
    cell.hidden = !asked;
    strip.hidden = this.config.look !== "strip";
    if (!asked) return;
    const { top, left, pitchY, pitchX } = extent(this.factors, this.height, this.width), [row, column] = this.cell;
    move(cell, top + row * pitchY, left + column * pitchX, pitchY, pitchX);
    if (strip.hidden) return;
    if (this.factors.axis === "vertical") move(strip, 0, left + column * pitchX, 1, pitchX);
    else move(strip, top + row * pitchY, 0, pitchY, 1);
  }

  /** The samples as dots, larger and brighter with weight; those outside as wedges on the border. */
  drawPoints(table) {
    const { points, stage } = this.parts, ratio = globalThis.devicePixelRatio || 1;
    const { width: wide, height: high } = this.size;
    const pixels = { width: Math.round(wide * ratio), height: Math.round(high * ratio) };
    stage.classList.add("dimmed");
    if (points.width !== pixels.width || points.height !== pixels.height) Object.assign(points, pixels);
    const context = points.getContext("2d");
    context.setTransform(ratio, 0, 0, ratio, 0, 0);
    context.clearRect(0, 0, wide, high);
    const { top, left, pitchY, pitchX } = extent(this.factors, this.height, this.width);
    const toX = (x) => (left + (x + 0.5) * pitchX) * wide, toY = (y) => (top + (y + 0.5) * pitchY) * high;
    context.fillStyle = "rgba(255, 255, 255, 0.4)";
    for (const { restY, restX } of this.samples) context.fillRect(toX(restX) - 0.75, toY(restY) - 0.75, 1.5, 1.5);
    context.strokeStyle = "rgba(255, 255, 255, 0.8)"; // keeps the dark end of a table apart from the picture
    context.lineWidth = 0.75;
    const largest = Math.max(3, Math.min(8, wide / 70));
    for (const sample of [...this.samples].sort((a, b) => a.weight - b.weight)) {
      const strength = Math.max(0, Math.min(1, this.scale.position(sample.weight)));
      const radius = 1.5 + (largest - 1.5) * Math.sqrt(strength); // the area follows the weight
      const [r, g, b] = new Uint8Array(table.buffer, 4 * Math.round(strength * (table.length - 1)), 3);
      context.fillStyle = `rgb(${r}, ${g}, ${b})`;
      context.beginPath();
      if (sample.outside) wedge(context, toX(sample.x), toY(sample.y), wide, high, radius + 2);
      else context.arc(toX(sample.x), toY(sample.y), radius, 0, 2 * Math.PI);
      context.fill();
      context.stroke();
    }
  }

  paintLabels(pixels) {
    const { palette } = this.config;
    const colours = Uint32Array.from({ length: 256 }, (_, label) =>
      label < palette.length && !this.hidden.has(label) ? word(...palette[label]) : 0);
    const { labels } = this.factors;
    for (let i = 0; i < pixels.length; i++) pixels[i] = colours[labels[i]];
  }

  /** A button for each class in the picture, largest first. A click hides it, with Alt all the others. */
  buildLegend() {
    const counts = new Uint32Array(256), { labels } = this.factors, { classes, palette } = this.config;
    for (const label of labels) counts[label]++;
    const present = classes.map((_, label) => label).filter((label) => counts[label] > 0);
    present.sort((a, b) => counts[b] - counts[a]);
    this.parts.legend.replaceChildren(...present.map((label) => {
      const button = document.createElement("button"), swatch = document.createElement("i"), area = document.createElement("small");
      swatch.style.background = `rgb(${palette[label].join()})`;
      area.textContent = `${((100 * counts[label]) / labels.length).toFixed(1)} %`;
      button.type = "button";
      button.title = "Click: hide or show. Alt-click: only this class.";
      button.append(swatch, classes[label], area);
      button.addEventListener("click", (event) => this.toggle(label, present, event.altKey));
      button.dataset.label = label;
      button.setAttribute("aria-pressed", "true");
      return button;
    }));
  }

  toggle(label, present, only) {
    const others = present.filter((other) => other !== label);
    if (only) {
      const alone = !this.hidden.has(label) && others.every((other) => this.hidden.has(other));
      this.hidden = new Set(alone ? [] : others);
    } else if (!this.hidden.delete(label)) {
      this.hidden.add(label);
    }
    for (const button of this.parts.legend.children) {
      button.setAttribute("aria-pressed", String(!this.hidden.has(Number(button.dataset.label))));
    }
    this.fill(this.parts.map, this.grid, (pixels) => this.paintLabels(pixels));
  }

  /** Cross hair and the value under it; `pointer` is an image pixel, or null when nobody points. */
  point(pointer, query) {
    const { lines, value, needle } = this.parts;
    const at = pointer ?? this.config.at ?? query;
    lines.hidden = !pointer;
    if (pointer) move(lines, (at[0] + 0.5) / this.height, (at[1] + 0.5) / this.width);
    if (this.config.look === "plain") return;
    const [row, column] = this.cellAt(at), here = row * this.grid[1] + column;
    if (this.config.look === "labels") {
      say(value, this.config.classes[this.factors.labels[here]] ?? "no class");
      return;
    }
    const amount = this.values[here];
    needle.hidden = Boolean(this.samples);
    slide(needle, Math.max(0, Math.min(1, this.scale.position(amount))));
    if (this.samples) say(value, this.sampleText());
    else say(value, this.isWeights ? `${share(amount)}, ${times(amount / this.evenShare)} the even share` : number(amount));
  }

  sampleText() {
    const lost = this.samples.reduce((sum, sample) => sum + sample.weight * (1 - sample.kept), 0);
    return `${this.samples.length} samples, ${share(lost)} of the weight outside the picture`;
  }
}

/** How many times the even share: "36 ×" says more of a weight than "1.3 %" does. */
function times(ratio) {
  return `${number(ratio)} ×`;
}

function place(element, top, left, height, width) {
  const percent = (value) => `${100 * value}%`;
  Object.assign(element.style, { top: percent(top), left: percent(left), height: percent(height), width: percent(width) });
}

// What changes in every frame goes through transforms (in fractions of the stage or bar, see the style sheet)
// and leaves equal texts alone, so that no frame waits for a layout.

function move(element, top, left, height, width) {
  element.style.setProperty("--y", top);
  element.style.setProperty("--x", left);
  if (height === undefined || (element.tall === height && element.wide === width)) return;
  Object.assign(element, { tall: height, wide: width });
  Object.assign(element.style, { height: `${100 * height}%`, width: `${100 * width}%` });
}

function slide(element, fraction) {
  element.style.setProperty("--x", fraction);
}

function say(element, text) {
  if (element.said === text) return;
  element.said = text;
  element.textContent = text;
}

/** A triangle at the border, pointing to where the place lies outside. */
function wedge(context, x, y, width, height, size) {
  const edgeX = Math.max(size, Math.min(width - size, x)), edgeY = Math.max(size, Math.min(height - size, y));
  const angle = Math.atan2(y - edgeY, x - edgeX);
  for (const turn of [0, 2.4, -2.4]) {
    context.lineTo(edgeX + size * Math.cos(angle + turn), edgeY + size * Math.sin(angle + turn));
  }
  context.closePath();
}
