// The rules of the kinds of map that are more than one product. What only columns need is made when first asked for.
import { exponential, products } from "./arithmetic.js";

/** Each strip's weight, spread evenly over the strip's cells. */
export function spread(out, f, strips) {
  const [height, width] = f.grid, vertical = f.axis === "vertical";
  for (let r = 0, i = 0; r < height; r++) {
    for (let c = 0; c < width; c++, i++) out[i] = vertical ? strips[c] / height : strips[r] / width;
  }
  return out;
}

export function throughBases(out, f, p) {
  const z = f.responsibilities, [cells, bases] = f.shapes.responsibilities;
  f.sums ??= columnSums(z, cells, bases);
  f.shares ??= new Float64Array(bases);
  for (let k = 0; k < bases; k++) f.shares[k] = z[p * bases + k] / Math.max(f.sums[k], 1e-38);
  return products(out, f.shares, 0, z, 0, cells, bases);
}

function columnSums(matrix, rows, columns) {
  const sums = new Float64Array(columns);
  for (let r = 0, i = 0; r < rows; r++) for (let c = 0; c < columns; c++, i++) sums[c] += matrix[i];
  return sums;
}

// ---- samples --------------------------------------------------------------------------------------------

/** The samples of a cell, each spread over the four cells around it; what falls outside the grid is lost. */
export function splat(out, f, p) {
  const [height, width] = f.grid, points = f.shapes.weights[1];
  out.fill(0);
  for (let i = p * points; i < (p + 1) * points; i++) {
    const y = f.positions[2 * i], x = f.positions[2 * i + 1], top = Math.floor(y), left = Math.floor(x);
    for (let r = top; r < top + 2; r++) {
      if (r < 0 || r >= height) continue;
      for (let c = left; c < left + 2; c++) {
        if (c < 0 || c >= width) continue;
        out[r * width + c] += f.weights[i] * (1 - Math.abs(y - r)) * (1 - Math.abs(x - c));
      }
    }
  }
  return out;
}

/** How much the samples of every cell lie on one cell: only those between it and its neighbours are looked at. */
export function touches(out, f, row, column) {
  const { positions, weights } = f, points = f.shapes.weights[1], across = f.grid[1] + 1;
  f.squares ??= samplesBySquare(f);
  const { starts, order } = f.squares;
  out.fill(0);
  for (let down = row; down < row + 2; down++) {
    const first = starts[down * across + column], end = starts[down * across + column + 2];
    for (let n = first; n < end; n++) {
      const i = order[n];
      const near = (1 - Math.abs(positions[2 * i] - row)) * (1 - Math.abs(positions[2 * i + 1] - column));
      out[(i / points) | 0] += weights[i] * near;
    }
  }
  return out;
}

/**
 * All samples, sorted by the square between four cell centres that they lie in. Square (r, c) has cell (r, c) at its
 * lower right; the squares at the border reach one cell beyond the grid. The N K samples are looked through once.
 */
function samplesBySquare({ grid: [height, width], positions, weights }) {
  const across = width + 1, squares = (height + 1) * across, count = weights.length;
  const square = new Uint32Array(count), starts = new Uint32Array(squares + 2); // the last one is for those in none
  for (let i = 0; i < count; i++) {
    const r = Math.floor(positions[2 * i]) + 1, c = Math.floor(positions[2 * i + 1]) + 1;
    square[i] = r >= 0 && r <= height && c >= 0 && c <= width ? r * across + c : squares;
    starts[square[i] + 1] += 1;
  }
  for (let s = 1; s < starts.length; s++) starts[s] += starts[s - 1];
  const order = new Uint32Array(count), next = starts.slice();
  for (let i = 0; i < count; i++) order[next[square[i]]++] = i;
  return { starts, order };
}

// ---- offset masks ---------------------------------------------------------------------------------------

/**
 * A line of the mask matrix: p's own mask, or what every mask says of p. Masks that do not reach the whole grid come
 * as windows, (cells, 2 reach + 1, 2 reach + 1), whose middle is the cell itself; beyond them nothing has weight.
 */
export function maskLine(out, f, p, own) {
  const { masks, reach, grid: [height, width] } = f, cells = height * width;
  if (!reach) {
    if (own) out.set(masks.subarray(p * cells, (p + 1) * cells));
    else for (let i = 0, at = p; i < cells; i++, at += cells) out[i] = masks[at];
    return out;
  }
  const [down, along] = reach, wide = 2 * along + 1, size = (2 * down + 1) * wide;
  const row = Math.floor(p / width), column = p % width;
  out.fill(-Infinity);
  for (let r = Math.max(0, row - down); r <= Math.min(height - 1, row + down); r++) {
    for (let c = Math.max(0, column - along); c <= Math.min(width - 1, column + along); c++) {
      const i = r * width + c, dy = own ? r - row : row - r, dx = own ? c - column : column - c;
      out[i] = masks[(own ? p : i) * size + (dy + down) * wide + dx + along];
    }
  }
  return out;
}

/** Weights of a mask without softmax; what it does not reach has none. */
export function divided(logits, divisor) {
  for (let i = 0; i < logits.length; i++) logits[i] = logits[i] === -Infinity ? 0 : logits[i] / divisor;
  return logits;
}

// ---- criss-cross ----------------------------------------------------------------------------------------

/** A unit weight on p, carried through the passes: last to first along rows (A2 A1), first to last along columns. */
export function walk(out, f, p, forward) {
  const passes = f.shapes.queries[0];
  f.steps ??= [new Float64Array(out.length), new Float64Array(out.length)];
  let [at, next] = f.steps;
  at.fill(0);
  at[p] = 1;
  for (let step = 0; step < passes; step++) {
    carry(next.fill(0), at, f, forward ? passes - 1 - step : step, forward);
    [at, next] = [next, at];
  }
  out.set(at);
  return out;
}

/** One pass: the weight on every cell goes to the cells of its cross, its row and then its column without itself. */
function carry(next, at, f, pass, forward) {
  const [, cells, dim] = f.shapes.queries, [height, width] = f.grid, base = pass * cells;
  const own = forward ? f.queries : f.keys, rows = forward ? f.keys : f.queries, { lse } = f;
  const columns = byColumns(f, forward ? "keys" : "queries"), line = f.line ??= f.floats(Math.max(height, width));
  for (let row = 0, i = 0; row < height; row++) {
    for (let column = 0; column < width; column++, i++) {
      const weight = at[i];
      if (weight === 0) continue;
      const vector = (base + i) * dim, from = lse[base + i];
      products(line, own, vector, rows, (base + row * width) * dim, width, dim);
      for (let c = 0, j = row * width; c < width; c++, j++) {
        next[j] += weight * exponential(line[c] - (forward ? from : lse[base + j]));
      }
      products(line, own, vector, columns, (base + column * height) * dim, height, dim);
      for (let r = 0, j = column; r < height; r++, j += width) {
        if (r !== row) next[j] += weight * exponential(line[r] - (forward ? from : lse[base + j]));
      }
    }
  }
}

/** A copy of a factor with the cells of a column one after the other: a column of it is read four times as fast. */
function byColumns(f, name) {
  f.turned ??= {};
  if (f.turned[name]) return f.turned[name];
  const factor = f[name], [passes, cells, dim] = f.shapes[name], [height, width] = f.grid;
  const turned = f.turned[name] = f.floats(factor.length);
  for (let pass = 0, to = 0; pass < passes; pass++) {
    for (let c = 0; c < width; c++) {
      for (let r = 0; r < height; r++, to += dim) {
        const from = (pass * cells + r * width + c) * dim;
        turned.set(factor.subarray(from, from + dim), to);
      }
    }
  }
  return turned;
}
