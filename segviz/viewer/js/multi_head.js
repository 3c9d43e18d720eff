// Dense attention with heads (segviz/attention/multi_head.py). Tokens that are not in the picture come first.
import { exponential, multiplyRows, normalise, softmax } from "./arithmetic.js";
import { headLogits } from "./heads.js";

/** Writes what a query token draws from each key cell in one head. */
export function writeHeadRow(out, f, token, head) {
  out.set(tokenWeights(f, token, head).subarray(f.key_prefix));
  return out;
}

/** The weight that a query token gives to the keys that are not in the picture. */
export function shareOffHead(f, token, head) {
  if (!f.lse || token < f.prefix) return sumFirst(tokenWeights(f, token, head), f.key_prefix);
  const logits = tokenLogits(f, token, head, f.key_prefix), from = f.lse[head * (f.shapes.queries[1] - f.prefix) + token - f.prefix];
  let sum = 0;
  for (let j = 0; j < logits.length; j++) sum += exponential(logits[j] - from);
  return sum;
}

/** The sum of the first numbers. */
export function sumFirst(values, count) {
  let sum = 0;
  for (let i = 0; i < count; i++) sum += values[i];
  return sum;
}

/** Writes how much each query cell draws from a key cell in one head. */
export function writeHeadColumn(out, f, cell, head) {
  const [, tokens, dim] = f.shapes.queries, keys = f.shapes.keys[1], key = cell + f.key_prefix, cells = out.length;
  multiplyRows(out, f.keys, (head * keys + key) * dim, f.queries, (head * tokens + f.prefix) * dim, cells, dim);
  if (f.bias) {
    const lines = f.shapes.bias[1], first = biasStart(f, head) + (lines > 1 ? f.prefix * keys : 0) + key;
    for (let i = 0, at = first; i < cells; i++, at += lines > 1 ? keys : 0) out[i] += f.bias[at];
  }
  if (f.offset_bias) addOffsets(out, f, cell, head, -1);
  return normalise(out, f.lse.subarray(head * cells, (head + 1) * cells));
}

function tokenWeights(f, token, head) {
  const logits = tokenLogits(f, token, head, f.shapes.keys[1]);
  if (f.offset_bias && token >= f.prefix) addOffsets(logits.subarray(f.key_prefix), f, token - f.prefix, head, 1);
  return softmax(logits);
}

/** A query token's logits for the first `count` keys, without a bias by relative position. */
function tokenLogits(f, token, head, count) {
  const [, tokens, dim] = f.shapes.queries, keys = f.shapes.keys[1], logits = headLogits(f, count);
  multiplyRows(logits, f.queries, (head * tokens + token) * dim, f.keys, head * keys * dim, count, dim);
  if (f.bias) {
    const first = biasStart(f, head) + (f.shapes.bias[1] > 1 ? token * keys : 0);
    for (let j = 0; j < count; j++) logits[j] += f.bias[first + j];
  }
  return logits;
}

/** Where a head's bias begins; heads may share one. */
function biasStart({ shapes: { bias: [heads, lines, keys] } }, head) {
  return heads > 1 ? head * lines * keys : 0;
}

/** Adds the bias by relative position: from cell p to every cell (`sign` 1), or from every cell to p (-1). */
function addOffsets(logits, f, p, head, sign) {
  const [height, width] = f.grid, [heads, down, along] = f.shapes.offset_bias, row = Math.floor(p / width), column = p % width;
  const first = (heads > 1 ? head * down * along : 0) + width - 1;
  for (let r = 0, i = 0; r < height; r++) {
    const line = first + (sign * (r - row) + height - 1) * along;
    for (let c = 0; c < width; c++, i++) logits[i] += f.offset_bias[line + sign * (c - column)];
  }
}
