// The marks over one picture: the point's cell and strip, the strongest cells, the cross hair and the pins' markers.
import { extent, frameOf } from "./cells.js";
import { createElement, placeElement, setText } from "./dom.js";
import { placeLabels } from "./labels.js";
import { LETTERS } from "./statistics.js";

// In CSS pixels, as viewer.css draws them; measuring the page instead would cost every frame a layout.
const LEAST_BOX = 7; // a side of a cell's box
const LABEL = { letter: 6.5, around: 8, height: 14 };
const MARKER = { above: 30, below: -4, beside: 14 }; // around a pin's pixel, with its rim, but without its narrow tip

export class Overlay {
  /** `parts` are the panel's elements; height and width are the picture's, in pixels. */
  constructor({ cell, strip, crest, peaks, lines, marks, outside, crop }, [height, width]) {
    Object.assign(this, { crop, cell, strip, crest, peaks, lines, marks, outside, height, width });
    this.size = { width: 0, height: 0 }; // of the stage, in CSS pixels
    this.spots = []; // where the visible markers are in it: [down, along]
    for (const [rank, letter] of [...LETTERS].entries()) {
      const box = createElement("i", "peak", createElement("b", "", letter), createElement("s", ""));
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
    });
  }

  /** Puts the labels of all boxes that are shown where they are inside the picture, and under no marker or other label. */
  placeLabels() {
    const boxes = [this.crest, ...(this.peaks.hidden ? [] : this.peaks.children)].filter((box) => !box.hidden && box.tall);
    const markers = this.spots.map(([y, x]) => (
      { top: y - MARKER.above, bottom: y + MARKER.below, left: x - MARKER.beside, right: x + MARKER.beside }
    ));
    const frames = boxes.map((box) => this.frameOfBox(box)), places = placeLabels(frames, markers, this.size);
    boxes.forEach((box, index) => moveLabel(box.children, frames[index], places[index]));
  }

  /** A box's rectangle in the stage, and the size of its label. */
  frameOfBox(box) {
    const { top, left, children: [label] } = box, { size } = this;
    return {
      top, left,
      bottom: top + Math.max(LEAST_BOX, box.tall * size.height),
      right: left + Math.max(LEAST_BOX, box.wide * size.width),
      wide: LABEL.letter * label.textContent.length + LABEL.around,
      high: LABEL.height,
    };
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
    this.placeLabels();
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

/** Puts a box's label on a place in the stage, with a line from the middle of the box where it stands away from it. */
function moveLabel([label, line], box, { top, left, isAway }) {
  label.style.transform = `translate(${left - box.left}px, ${top - box.top}px)`;
  if (line.hidden !== !isAway) line.hidden = !isAway;
  if (!isAway) return;
  const down = top + (box.high - box.top - box.bottom) / 2, along = left + (box.wide - box.left - box.right) / 2;
  const middle = `translate(${(box.right - box.left) / 2}px, ${(box.bottom - box.top) / 2 - 1}px)`;
  Object.assign(line.style, { width: `${Math.hypot(down, along)}px`, transform: `${middle} rotate(${Math.atan2(down, along)}rad)` });
}
