// Statistics of a map: entropy, mean distance, strongest cells and percentiles. Pure functions.
import { bitsOf, log2OfBits, range } from "./arithmetic.js";
import { extent } from "./cells.js";

/** The entropy, in bits, of weights normalised to sum to 1; at most log2 of their number. */
export function entropyBits(weights) {
  const bits = bitsOf(weights);
  let sum = 0, inner = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i];
    if (weight === 0) continue;
    if (!(weight > 0)) return NaN; // negative weights are not a distribution
    sum += weight;
    inner += weight * log2OfBits(bits[i]);
  }
  return sum > 0 ? Math.max(0, Math.log2(sum) - inner / sum) : NaN;
}

let squaredDistances = new Float64Array(64); // of the columns from the cell

/** The mean distance of the weights from a cell, centre to centre, as a share of the image diagonal. */
export function meanDistance(f, weights, row, column, height, width) {
  const [rows, columns] = f.grid, { pitchY, pitchX } = extent(f);
  if (squaredDistances.length < columns) squaredDistances = new Float64Array(columns);
  for (let c = 0; c < columns; c++) squaredDistances[c] = ((c - column) * pitchX * width) ** 2;
  let sum = 0, far = 0;
  for (let r = 0, i = 0; r < rows; r++) {
    const down = ((r - row) * pitchY * height) ** 2;
    for (let c = 0; c < columns; c++, i++) {
      sum += weights[i];
      far += weights[i] * Math.sqrt(down + squaredDistances[c]);
    }
  }
  return sum > 0 ? far / sum / Math.hypot(height, width) : NaN;
}

export const LETTERS = "abcde"; // name the strongest cells; pins have numbers

/** The cells with the largest weights, largest first, leaving out those within `gap` cells of (row, column). */
export function strongestCells(weights, [rows, columns], row, column, count = LETTERS.length, gap = 2) {
  const best = [];
  let least = 0; // a weight must exceed this to be among them
  for (let r = 0, i = 0; r < rows; r++) {
    const nearRow = Math.abs(r - row) <= gap;
    for (let c = 0; c < columns; c++, i++) {
      if (!(weights[i] > least) || (nearRow && Math.abs(c - column) <= gap)) continue;
      let at = best.length;
      while (at > 0 && weights[best[at - 1]] < weights[i]) at--;
      best.splice(at, 0, i);
      if (best.length > count) best.pop();
      if (best.length === count) least = weights[best[count - 1]];
    }
  }
  return best;
}

/**
 * The value furthest from 0, or one that is no number, in each block of `step` x `step` cells; as `pool_strongest` in
 * segviz/figures/strongest.py.
 */
export function strongestOfBlocks(values, [rows, columns], step) {
  const along = Math.ceil(columns / step), found = new Float32Array(Math.ceil(rows / step) * along);
  for (let r = 0, i = 0; r < rows; r++) {
    const first = Math.floor(r / step) * along;
    for (let c = 0; c < columns; c++, i++) {
      const at = first + Math.floor(c / step);
      if (Number.isNaN(values[i]) || Math.abs(values[i]) > Math.abs(found[at])) found[at] = values[i];
    }
  }
  return found;
}

let workspace = new Float32Array(0);

/** The quantiles `low` and `high` of the values, each in [0, 1], interpolated as NumPy does. */
export function percentiles(values, low, high) {
  if (!values.length) return [0, 0];
  if (workspace.length < values.length) workspace = new Float32Array(values.length);
  const work = workspace.subarray(0, values.length);
  work.set(values);
  const at = (share) => {
    const place = share * (work.length - 1), index = Math.floor(place), value = quickselect(work, index);
    if (place === index) return value;
    return value + (range(work.subarray(index + 1))[0] - value) * (place - index); // no value after it is smaller
  };
  return [at(low), at(high)];
}

/** The value at an index of the sorted values; partially sorts them in place, so that no smaller one follows it. */
function quickselect(values, index) {
  let from = 0, to = values.length - 1;
  while (from < to) {
    const pivot = medianOfThree(values[from], values[(from + to) >> 1], values[to]);
    let i = from, j = to;
    while (i <= j) {
      while (values[i] < pivot) i++;
      while (values[j] > pivot) j--;
      if (i > j) break;
      const swapped = values[i];
      values[i++] = values[j];
      values[j--] = swapped;
    }
    if (index <= j) to = j;
    else if (index >= i) from = i;
    else break;
  }
  return values[index];
}

const medianOfThree = (a, b, c) => Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
