// The marks over one picture: the point's cell and strip, the strongest cells, the cross hair and the pins' markers.
import { extent, frameOf } from "./cells.js";
import { createElement, placeElement, setText } from "./dom.js";
import { LETTERS } from "./statistics.js";

// In CSS pixels, as viewer.css draws them; measuring the page instead would cost every frame a layout.
const LEAST_BOX = 7; // a side of a cell's box
const LABEL = { letter: 6.5, around: 8, height: 14, over: 2 }; // over: how far it reaches into its box's rows
const MARKER = { above: 30, below: -4, beside: 14 }; // around a pin's pixel, with its rim, but without its narrow tip
const CORNERS = [[false, false], [true, false], [false, true], [true, true]]; // of a label: under its box, before it

export class Overlay {
  /** `parts` are the panel's elements; height and width are the picture's, in pixels. */
  constructor({ cell, strip, crest, peaks, lines, marks, outside, crop }, [height, width]) {
    Object.assign(this, { crop, cell, strip, crest, peaks, lines, marks, outside, height, width });
    this.size = { width: 0, height: 0 }; // of the stage, in CSS pixels
    this.spots = []; // where the visible markers are in it: [down, along]
    for (const [rank, letter] of [...LETTERS].entries()) {
      const box = createElement("i", "peak", createElement("b", "", letter));
      box.style.zIndex = LETTERS.length - rank; // the strongest on top
      peaks.append(box);
    }
  }

  /** Frames the part of the picture that a layer's network saw, and darkens the rest; hides both where it saw all. */
  showCrop({ part }, view) {
    this.crop.hidden = !part;
    if (!part) return;
    const { top, left, height, width } = frameOf(part);
    this.place(this.crop, view, top, left, height, width);
  }

  /** Outlines the point's cell on a layer of weights, and the strip that contains it; hides both without a layer. */
  showCell(layer, view) {
    const { cell, strip } = this;
    cell.hidden = !layer;
    strip.hidden = layer?.look !== "strip";
    if (!layer) return;
    const { top, left, pitchY, pitchX } = extent(layer.grids.point), { row, column } = layer;
    this.place(cell, view, top + row * pitchY, left + column * pitchX, pitchY, pitchX);
    if (strip.hidden) return;
    const frame = frameOf(layer.part);
    if (layer.factors.axis === "vertical") this.place(strip, view, frame.top, left + column * pitchX, frame.height, pitchX);
    else this.place(strip, view, top + row * pitchY, frame.left, pitchY, frame.width);
  }

  /** Outlines an image pixel of a panel whose map has no cells; null hides it. */
  showPixel(pixel, view) {
    this.cell.hidden = !pixel;
    if (pixel) this.place(this.cell, view, pixel[0] / this.height, pixel[1] / this.width, 1 / this.height, 1 / this.width);
  }

  /** Boxes the cell that has nearly all the weight of a layer; `found` is null where no cell has. */
  showCrest(layer, found, view) {
    const { crest } = this, at = found?.cell ?? null;
    crest.hidden = at === null;
    if (crest.hidden) return;
    const { top, left, pitchY, pitchX } = extent(layer.grids.values), columns = layer.grid[1];
    const row = Math.floor(at / columns), column = at % columns;
    setText(crest.firstElementChild, found.text);
    this.place(crest, view, top + row * pitchY, left + column * pitchX, pitchY, pitchX);
    this.placeLabel(crest);
  }

  /** Puts lettered boxes on cells of a layer. */
  placeBoxes(layer, cells, view) {
    const { top, left, pitchY, pitchX } = extent(layer.grids.values), columns = layer.grid[1];
    [...this.peaks.children].forEach((box, rank) => {
      box.hidden = rank >= cells.length;
      if (box.hidden) return;
      const row = Math.floor(cells[rank] / columns), column = cells[rank] % columns;
      box.dataset.cell = `${row},${column}`;
      this.place(box, view, top + row * pitchY, left + column * pitchX, pitchY, pitchX);
      this.placeLabel(box);
    });
  }

  /** Puts the label of a cell's box at the first corner where it is inside the picture and under no marker. */
  placeLabel(box) {
    const { size } = this, wide = LABEL.letter * box.textContent.length + LABEL.around;
    const bottom = box.top + Math.max(LEAST_BOX, box.tall * size.height);
    const right = box.left + Math.max(LEAST_BOX, box.wide * size.width);
    let least = Infinity, best = CORNERS[0];
    for (const [under, before] of CORNERS) {
      const top = under ? bottom - LABEL.over : box.top + LABEL.over - LABEL.height, left = before ? box.left - wide : right;
      const isOutside = top < 0 || left < 0 || top + LABEL.height > size.height || left + wide > size.width;
      let hidden = isOutside ? this.spots.length + 1 : 0;
      for (const [y, x] of this.spots) {
        const isBeside = left > x + MARKER.beside || left + wide < x - MARKER.beside;
        if (!isBeside && top < y + MARKER.below && top + LABEL.height > y - MARKER.above) hidden += 1;
      }
      if (hidden < least) [least, best] = [hidden, [under, before]];
    }
    box.classList.toggle("under", best[0]);
    box.classList.toggle("before", best[1]);
  }

  /** Puts the cross hair on an image pixel; null hides it. */
  showCrossHair(pixel, view) {
    const { lines } = this;
    lines.hidden = !pixel;
    if (pixel) this.place(lines, view, (pixel[0] + 0.5) / this.height, (pixel[1] + 0.5) / this.width);
  }

  /** Replaces the pins' markers where the pins have changed. */
  setMarkers(pins, view) {
    if (pins.version === this.markers) return;
    this.markers = pins.version;
    this.marks.replaceChildren(...pins.createMarkers());
    this.placeMarkers(view);
    for (const box of [this.crest, ...this.peaks.children]) if (!box.hidden && box.tall) this.placeLabel(box);
  }

  /** Puts the markers on their pixels; those outside the view are hidden. */
  placeMarkers({ zoom, top, left }) {
    this.spots = [];
    for (const marker of this.marks.children) {
      const y = ((marker.pin.y + 0.5) / this.height - top) * zoom, x = ((marker.pin.x + 0.5) / this.width - left) * zoom;
      marker.hidden = y < 0 || x < 0 || y > 1 || x > 1;
      if (!marker.hidden) this.spots.push([y * this.size.height, x * this.size.width]);
      Object.assign(marker.style, { top: `${100 * y}%`, left: `${100 * x}%` });
    }
  }

  /** Says which pins lie outside the view, as a button that goes back to the whole picture; "" hides it. */
  showOutside(text) {
    const { outside } = this;
    if (outside.hidden !== !text) outside.hidden = !text;
    if (text) setText(outside, text);
  }

  /** Puts an element over a part of the picture, given in fractions of the picture. */
  place(element, { zoom, top, left }, y, x, height, width) {
    const { size } = this;
    const down = (y - top) * zoom * size.height, along = (x - left) * zoom * size.width;
    placeElement(element, down, along, height && height * zoom, width && width * zoom);
  }
}
