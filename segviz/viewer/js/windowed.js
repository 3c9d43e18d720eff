// Attention within windows (segviz/attention/windowed.py): cells outside a place's window have weight 0.
import { exponential, multiplyRows, softmax } from "./arithmetic.js";
import { headLogits } from "./heads.js";

/** Writes what a cell draws from each key cell in one head. */
export function writeWindowRow(out, f, p, head) {
  out.fill(0);
  if (f.tokens[p] < 0) return out; // in no window
  const keys = f.shapes.keys[2], first = Math.floor(f.tokens[p] / f.shapes.queries[2]) * keys;
  const weights = windowWeights(f, f.tokens[p], head);
  for (let j = 0; j < keys; j++) {
    const place = f.key_places[first + j];
    if (place >= 0) out[place] += weights[j];
  }
  return out;
}

/** The weight that a cell gives to padding. */
export function shareOffWindow(f, p, head) {
  if (f.tokens[p] < 0) return 1;
  const keys = f.shapes.keys[2], first = Math.floor(f.tokens[p] / f.shapes.queries[2]) * keys;
  return windowWeights(f, f.tokens[p], head).reduce((sum, weight, j) => (f.key_places[first + j] < 0 ? sum + weight : sum), 0);
}

/** Writes how much each query cell draws from a key cell in one head. */
export function writeWindowColumn(out, f, cell, head) {
  const [, heads, tokens, dim] = f.shapes.queries, keys = f.shapes.keys[2], logits = headLogits(f, tokens);
  f.keyTokens ??= sortByCell(f.key_places, f.key_grid[0] * f.key_grid[1]);
  out.fill(0);
  for (let n = f.keyTokens.starts[cell]; n < f.keyTokens.starts[cell + 1]; n++) {
    const at = f.keyTokens.order[n], number = Math.floor(at / keys), key = at % keys, group = number * heads + head;
    multiplyRows(logits, f.keys, (group * keys + key) * dim, f.queries, group * tokens * dim, tokens, dim);
    for (const name of ["bias", "mask"]) addWindowBias(logits, f, name, number, head, key, keys);
    for (let i = 0; i < tokens; i++) {
      const place = f.query_places[number * tokens + i];
      if (place >= 0) out[place] += exponential(logits[i] - f.lse[group * tokens + i]);
    }
  }
  return out;
}

/** The weights that a query token gives to the keys of its window. */
function windowWeights(f, at, head) {
  const [, heads, tokens, dim] = f.shapes.queries, keys = f.shapes.keys[2], logits = headLogits(f, keys);
  const number = Math.floor(at / tokens), token = at % tokens, group = number * heads + head;
  multiplyRows(logits, f.queries, (group * tokens + token) * dim, f.keys, group * keys * dim, keys, dim);
  for (const name of ["bias", "mask"]) addWindowBias(logits, f, name, number, head, token * keys, 1);
  return softmax(logits);
}

/** Adds a bias, which windows and heads may share: every `step`-th number from `first`. */
function addWindowBias(logits, f, name, number, head, first, step) {
  if (!f[name]) return;
  const [windows, heads, tokens, keys] = f.shapes[name];
  let at = ((windows > 1 ? number * heads : 0) + (heads > 1 ? head : 0)) * tokens * keys + first;
  for (let i = 0; i < logits.length; i++, at += step) logits[i] += f[name][at];
}

/** Sorts tokens by their cells, once; those of a cell are order[starts[cell]] to order[starts[cell + 1] - 1]. */
function sortByCell(places, cells) {
  const starts = new Uint32Array(cells + 2), order = new Uint32Array(places.length);
  for (const place of places) if (place >= 0) starts[place + 2] += 1;
  for (let cell = 2; cell < starts.length; cell++) starts[cell] += starts[cell - 1];
  places.forEach((place, at) => { if (place >= 0) order[starts[place + 1]++] = at; });
  return { starts, order };
}
