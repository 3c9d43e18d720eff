// Criss-cross attention (CCNet): in each pass, a cell reads its row and its column.
import { exponential, multiplyRows } from "./arithmetic.js";

/**
 * Writes the weights of all passes together by carrying a weight of 1 on cell p through them: from the last pass to the
 * first for a row of the attention map (A2 A1, `forward`), from the first to the last for a column.
 */
export function carryThroughPasses(out, f, p, forward) {
  const passes = f.shapes.queries[0];
  f.buffers ??= [new Float64Array(out.length), new Float64Array(out.length)];
  let [at, next] = f.buffers;
  at.fill(0);
  at[p] = 1;
  for (let step = 0; step < passes; step++) {
    carryThroughPass(next.fill(0), at, f, forward ? passes - 1 - step : step, forward);
    [at, next] = [next, at];
  }
  out.set(at);
  return out;
}

/** Distributes the weight on every cell over its cross: its row, then its column without the cell itself. */
function carryThroughPass(next, at, f, pass, forward) {
  const [, cells, dim] = f.shapes.queries, [height, width] = f.grid, base = pass * cells;
  const own = forward ? f.queries : f.keys, rows = forward ? f.keys : f.queries, { lse } = f;
  const columns = copyByColumns(f, forward ? "keys" : "queries"), line = f.line ??= f.allocate(Math.max(height, width));
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      const weight = at[i];
      if (weight === 0) continue;
      const vector = (base + i) * dim, from = lse[base + i];
      multiplyRows(line, own, vector, rows, (base + row * width) * dim, width, dim);
      for (let c = 0, j = row * width; c < width; c++, j++) {
        next[j] += weight * exponential(line[c] - (forward ? from : lse[base + j]));
      }
      multiplyRows(line, own, vector, columns, (base + column * height) * dim, height, dim);
      for (let r = 0, j = column; r < height; r++, j += width) {
        if (r !== row) next[j] += weight * exponential(line[r] - (forward ? from : lse[base + j]));
      }
    }
  }
}

/** Copies a factor into column-major order, once: reading a column is then four times as fast. */
function copyByColumns(f, name) {
  f.byColumns ??= {};
  if (f.byColumns[name]) return f.byColumns[name];
  const factor = f[name], [passes, cells, dim] = f.shapes[name], [height, width] = f.grid;
  const copy = f.byColumns[name] = f.allocate(factor.length);
  for (let pass = 0, to = 0; pass < passes; pass++) {
    for (let c = 0; c < width; c++) {
      for (let r = 0; r < height; r++, to += dim) {
        const from = (pass * cells + r * width + c) * dim;
        copy.set(factor.subarray(from, from + dim), to);
      }
    }
  }
  return copy;
}
