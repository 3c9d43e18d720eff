// Linear attention, which has no softmax, and declared weights (segviz/attention/linear.py).
import { multiplyRows } from "./arithmetic.js";

/** Writes what a cell draws from each key cell in one head. */
export function writeLinearRow(out, f, p, head) {
  const [, cells, dim] = f.shapes.queries, keys = f.shapes.keys[1], sum = f.normaliser[head * cells + p];
  multiplyRows(out, f.queries, (head * cells + p) * dim, f.keys, head * keys * dim, keys, dim);
  for (let j = 0; j < keys; j++) out[j] /= sum;
  return out;
}

/** Writes how much each query cell draws from a key cell in one head. */
export function writeLinearColumn(out, f, cell, head) {
  const [, cells, dim] = f.shapes.queries, keys = f.shapes.keys[1];
  multiplyRows(out, f.keys, (head * keys + cell) * dim, f.queries, head * cells * dim, cells, dim);
  for (let i = 0; i < cells; i++) out[i] /= f.normaliser[head * cells + i];
  return out;
}

/** A query token's declared weights for all keys in one head; the first keys are not in the picture. */
export function declaredWeights(f, token, head) {
  const [, tokens, keys] = f.shapes.weights, first = (head * tokens + token) * keys;
  return f.weights.subarray(first, first + keys);
}

/** Writes the declared weights of all query cells for a key cell in one head. */
export function writeDeclaredColumn(out, f, cell, head) {
  const [, tokens, keys] = f.shapes.weights;
  for (let i = 0, at = (head * tokens + f.prefix) * keys + f.key_prefix + cell; i < out.length; i++, at += keys) out[i] = f.weights[at];
  return out;
}
