// Keys on the pictures: they move the point by cells, pin and unpin it, zoom, and hide the maps (Space).
import { cellOf, pixelOf } from "./cells.js";
import { WHOLE, revealPlace } from "./view.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const ZOOMS = { "+": "in", "=": "in", "-": "out", _: "out", 0: "fit", 1: "actual" };
const FAR = 5; // cells per arrow with Shift
const LABEL_STEP = 8; // pixels per arrow if no panel has cells

export class Keyboard {
  constructor(viewer, signal) {
    this.viewer = viewer;
    const { root, grid } = viewer;
    // Streamlit has hotkeys on plain letters (r reruns, c clears caches), which must not fire here.
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      event.stopPropagation();
      const panel = grid.byStage.get(event.target);
      if (panel && this.handleKey(panel, event)) event.preventDefault();
    }, { signal });
    document.addEventListener("keydown", (event) => {
      if (event.key !== " " || !viewer.over || document.activeElement !== document.body) return;
      event.preventDefault(); // over a picture, Space hides the maps instead of scrolling
      this.hideMaps(true);
    }, { signal });
    globalThis.addEventListener("keyup", (event) => { if (event.key === " ") this.hideMaps(false); }, { signal });
    for (const [target, name] of [[globalThis, "blur"], [grid.root, "focusout"]]) {
      target.addEventListener(name, () => this.hideMaps(false), { signal });
    }
  }

  /** Handles a key on a panel's picture; returns false if the key has no meaning here. */
  handleKey(panel, { key, shiftKey }) {
    const { pins, point } = this.viewer;
    if (!point) return false;
    if (key in ARROWS) this.movePoint(panel, ARROWS[key], shiftKey ? FAR : 1);
    else if (key in ZOOMS) this.viewer.zoom(ZOOMS[key]);
    else if (key === "Enter") pins.add(point);
    else if (key === "Delete" || key === "Backspace") pins.remove(pins.nearest(point));
    else if (key === "Escape") this.reset();
    else if (key === " ") this.hideMaps(true);
    else return false;
    return true;
  }

  /** Moves the point by cells of the panel's grid, or else of the first panel with one, and announces the value. */
  movePoint(panel, [down, right], steps) {
    const { viewer } = this, { height, width } = viewer;
    const source = [panel, ...viewer.grid.panels].find((other) => other.loaded && other.cellLayer) ?? panel;
    const grid = [Math.ceil(height / LABEL_STEP), Math.ceil(width / LABEL_STEP)];
    const cells = source.cellLayer?.grids.point ?? { grid };
    const [row, column] = cellOf(cells, ...viewer.point, height, width), [rows, columns] = cells.grid;
    // Beyond a crop the cells are continued, so that keys reach the other crops; pixelOf stays inside the picture.
    const along = (at, by, count) => (cells.part ? at + by * steps : Math.max(0, Math.min(count - 1, at + by * steps)));
    viewer.setPoint(pixelOf(cells, along(row, down, rows), along(column, right, columns), height, width));
    const [y, x] = viewer.point;
    viewer.gestures.setView(revealPlace(viewer.state.view, (y + 0.5) / height, (x + 0.5) / width));
    viewer.draw(true); // at once, so that the value is there to be read out
    viewer.announce(`y ${y}, x ${x}: ${panel.readoutText() || source.readoutText()}`);
  }

  /** Returns to the whole picture, and to the last pin or the centre. */
  reset() {
    const { viewer } = this;
    viewer.point = null;
    viewer.over = null;
    viewer.gestures.setView(WHOLE);
    viewer.rest();
    viewer.announce(`Whole picture, y ${viewer.point[0]}, x ${viewer.point[1]}.`);
  }

  hideMaps(hidden) {
    this.viewer.root.classList.toggle("bare", hidden);
  }
}
