// Object queries (segviz/attention/object_queries.py): queries that are not in the picture, and keys that are.
import { multiplyRows, normalise, softmax } from "./arithmetic.js";
import { headLogits } from "./heads.js";

/** What an object query draws from each key in one head; the first keys are not in the picture. */
export function queryWeights(f, query, head) {
  const [, queries, dim] = f.shapes.queries, keys = f.shapes.keys[1], logits = headLogits(f, keys);
  multiplyRows(logits, f.queries, (head * queries + query) * dim, f.keys, head * keys * dim, keys, dim);
  if (f.bias) {
    const first = queryBiasStart(f, head) + (f.shapes.bias[1] > 1 ? query * keys : 0);
    for (let j = 0; j < keys; j++) logits[j] += f.bias[first + j];
  }
  return softmax(logits);
}

/** Writes how much each object query draws from a cell in one head. */
export function writeQueriesAt(out, f, cell, head) {
  const [, queries, dim] = f.shapes.queries, keys = f.shapes.keys[1], key = cell + f.key_prefix;
  multiplyRows(out, f.keys, (head * keys + key) * dim, f.queries, head * queries * dim, queries, dim);
  if (f.bias) {
    const step = f.shapes.bias[1] > 1 ? keys : 0;
    for (let q = 0, at = queryBiasStart(f, head) + key; q < queries; q++, at += step) out[q] += f.bias[at];
  }
  return normalise(out, f.lse.subarray(head * queries, (head + 1) * queries));
}

/** Where a head's bias begins; heads may share one, and so may queries. */
function queryBiasStart({ shapes: { bias: [heads, queries, keys] } }, head) {
  return heads > 1 ? head * queries * keys : 0;
}
