// Attention through bases (EMANet).
import { multiplyRows } from "./arithmetic.js";

/** Writes the weights of cell p through the bases: its responsibilities, with the bases' sums as denominators. */
export function carryThroughBases(out, f, p) {
  const z = f.responsibilities, [cells, bases] = f.shapes.responsibilities;
  f.baseSums ??= columnSums(z, cells, bases);
  f.baseWeights ??= new Float64Array(bases);
  for (let k = 0; k < bases; k++) f.baseWeights[k] = z[p * bases + k] / Math.max(f.baseSums[k], 1e-38);
  return multiplyRows(out, f.baseWeights, 0, z, 0, cells, bases);
}

function columnSums(matrix, rows, columns) {
  const sums = new Float64Array(columns);
  for (let r = 0, i = 0; r < rows; r++) for (let c = 0; c < columns; c++, i++) sums[c] += matrix[i];
  return sums;
}
