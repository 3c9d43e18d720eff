// Strip attention (AttaNet): cells attend to whole columns or rows of the grid.
import { normalise } from "./arithmetic.js";
import { logitsOf } from "./dot_product.js";

/** How much every cell attends to strip j, A[:, j]; the maps of all strips sum to 1 (AttaNet Fig. 9). */
export function stripMap(f, strip, out = new Float32Array(f.grid[0] * f.grid[1])) {
  return normalise(logitsOf(out, f.keys, strip, f.queries, f.shapes.queries), f.lse);
}

/** The logits of cell p for every strip. */
export function stripLogits(f, p) {
  f.strips ??= f.allocate(f.shapes.keys[0]);
  return logitsOf(f.strips, f.queries, p, f.keys, f.shapes.keys);
}

/** Writes each strip's weight, divided evenly among the cells of the strip. */
export function spreadOverStrips(out, f, strips) {
  const [height, width] = f.grid, vertical = f.axis === "vertical";
  for (let r = 0, i = 0; r < height; r++) {
    for (let c = 0; c < width; c++, i++) out[i] = vertical ? strips[c] / height : strips[r] / width;
  }
  return out;
}

/** Writes how much every cell draws from one cell: an equal share of what it draws from the cell's strip. */
export function shareAmongStrip(out, f, row, column) {
  const vertical = f.axis === "vertical", length = f.grid[vertical ? 0 : 1];
  stripMap(f, vertical ? column : row, out);
  for (let i = 0; i < out.length; i++) out[i] /= length;
  return out;
}
