// Logits as dot products of queries and keys.
import { multiplyRows } from "./arithmetic.js";

/** Writes the dot products of vector `index` of one factor with all `count` vectors of another. */
export function logitsOf(out, vectors, index, others, [count, dim]) {
  return multiplyRows(out, vectors, index * dim, others, 0, count, dim);
}
