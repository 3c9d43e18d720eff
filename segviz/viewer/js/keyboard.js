// The keyboard's way: the point moves by cells, is pinned and unpinned; zoom; and Space, which uncovers the picture.
import { WHOLE, cellOf, containing, pixelOf } from "./places.js";

const ARROWS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
const ZOOMS = { "+": "in", "=": "in", "-": "out", _: "out", 0: "fit", 1: "full" };
const FAR = 5; // cells that Shift and an arrow move
const LABEL_STEP = 8; // pixels that an arrow moves where no panel has cells

export class Keyboard {
  constructor(viewer, signal) {
    this.viewer = viewer;
    const { root, grid } = viewer;
    // Streamlit listens for plain letters (r runs again, c clears caches); nothing typed here is meant for it.
    root.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      event.stopPropagation();
      const panel = viewer.byStage?.get(event.target);
      if (panel && this.act(panel, event)) event.preventDefault();
    }, { signal });
    document.addEventListener("keydown", (event) => {
      if (event.key !== " " || !viewer.over || document.activeElement !== document.body) return;
      event.preventDefault(); // while the pointer is on a picture, Space uncovers it and does not scroll
      this.uncover(true);
    }, { signal });
    globalThis.addEventListener("keyup", (event) => { if (event.key === " ") this.uncover(false); }, { signal });
    for (const [target, name] of [[globalThis, "blur"], [grid, "focusout"]]) {
      target.addEventListener(name, () => this.uncover(false), { signal });
    }
  }

  /** Does what a key on a panel's picture means; false if it means nothing. */
  act(panel, { key, shiftKey }) {
    const { pins, query } = this.viewer;
    if (!query) return false;
    if (key in ARROWS) this.step(panel, ARROWS[key], shiftKey ? FAR : 1);
    else if (key in ZOOMS) this.viewer.zoom(ZOOMS[key]);
    else if (key === "Enter") pins.add(query);
    else if (key === "Delete" || key === "Backspace") pins.remove(pins.nearest(query));
    else if (key === "Escape") this.reset();
    else if (key === " ") this.uncover(true);
    else return false;
    return true;
  }

  /** Moves the point by cells of the panel's own grid, or of the first map's if it has none, and says what is there. */
  step(panel, [down, right], cells) {
    const { viewer } = this, { height, width } = viewer;
    const teller = [panel, ...viewer.panels].find((other) => other.loaded && other.mapped) ?? panel;
    const grid = [Math.ceil(height / LABEL_STEP), Math.ceil(width / LABEL_STEP)];
    const factors = teller.mapped?.factors ?? { grid, mapping: "half_pixel" };
    const [row, column] = cellOf(factors, ...viewer.query, height, width), [rows, columns] = factors.grid;
    const along = (at, by, count) => Math.max(0, Math.min(count - 1, at + by * cells));
    viewer.moveTo(pixelOf(factors, along(row, down, rows), along(column, right, columns), height, width));
    const [y, x] = viewer.query;
    viewer.gestures.show(containing(viewer.state.view, (y + 0.5) / height, (x + 0.5) / width));
    viewer.draw(true); // now, so that the value can be read out
    viewer.say(`y ${y}, x ${x}: ${panel.told() || teller.told()}`);
  }

  /** Back to the whole picture, and to the last pin or the middle. */
  reset() {
    const { viewer } = this;
    viewer.query = null;
    viewer.over = null;
    viewer.gestures.show(WHOLE);
    viewer.rest();
    viewer.say(`The whole picture, at y ${viewer.query[0]}, x ${viewer.query[1]}.`);
  }

  uncover(bare) {
    this.viewer.root.classList.toggle("bare", bare);
  }
}
