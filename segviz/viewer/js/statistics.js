// Figures of a map: how spread it is, how far it reaches, where it is strongest, where its bulk lies. Pure functions.
import { bitsOf, log2OfBits, range } from "./arithmetic.js";
import { extent } from "./places.js";

/** The entropy in bits of weights made to sum to 1; log2 of the number of cells where all are equal. */
export function entropyBits(weights) {
  const bits = bitsOf(weights);
  let sum = 0, inner = 0;
  for (let i = 0; i < weights.length; i++) {
    const weight = weights[i];
    if (weight === 0) continue;
    if (!(weight > 0)) return NaN; // weights of both signs are no distribution
    sum += weight;
    inner += weight * log2OfBits(bits[i]);
  }
  return sum > 0 ? Math.max(0, Math.log2(sum) - inner / sum) : NaN;
}

let across = new Float64Array(64);

/** How far from a cell the weights lie on average, centre to centre, as a share of the picture's diagonal. */
export function meanDistance(f, weights, row, column, height, width) {
  const [rows, columns] = f.grid, { pitchY, pitchX } = extent(f, height, width);
  if (across.length < columns) across = new Float64Array(columns);
  for (let c = 0; c < columns; c++) across[c] = ((c - column) * pitchX * width) ** 2;
  let sum = 0, far = 0;
  for (let r = 0, i = 0; r < rows; r++) {
    const down = ((r - row) * pitchY * height) ** 2;
    for (let c = 0; c < columns; c++, i++) {
      sum += weights[i];
      far += weights[i] * Math.sqrt(down + across[c]);
    }
  }
  return sum > 0 ? far / sum / Math.hypot(height, width) : NaN;
}

export const LETTERS = "abcde"; // of the strongest cells, as pins have numbers

/** The cells of the largest weights, largest first, but none within `gap` cells of the place itself. */
export function strongest(weights, [rows, columns], row, column, count = LETTERS.length, gap = 2) {
  const best = [];
  let least = 0; // what a weight has to exceed to be among them
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

let bench = new Float32Array(0);

/** The values below which `low` and `high` of all values lie, each in [0, 1], interpolated as numpy does. */
export function percentiles(values, low, high) {
  if (!values.length) return [0, 0];
  if (bench.length < values.length) bench = new Float32Array(values.length);
  const work = bench.subarray(0, values.length);
  work.set(values);
  const at = (share) => {
    const place = share * (work.length - 1), index = Math.floor(place), value = selected(work, index);
    if (place === index) return value;
    return value + (range(work.subarray(index + 1))[0] - value) * (place - index); // what follows is larger
  };
  return [at(low), at(high)];
}

/** The value that would stand at an index if all were sorted; afterwards no smaller one stands behind it. */
function selected(values, index) {
  let from = 0, to = values.length - 1;
  while (from < to) {
    const pivot = middle(values[from], values[(from + to) >> 1], values[to]);
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

const middle = (a, b, c) => Math.max(Math.min(a, b), Math.min(Math.max(a, b), c));
