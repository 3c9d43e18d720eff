// Interlaced attention (segviz/attention/interlaced.py): a pass over cells far apart, then one within blocks.
import { exponential, multiplyRows, softmax } from "./arithmetic.js";

/** Writes what cell p draws from every cell through both passes. */
export function writeInterlacedRow(out, f, p) {
  const [places, blocks, dim] = f.shapes.far_queries, { near, far, block, place } = prepare(f, p);
  multiplyRows(near, f.near_queries, (block * places + place) * dim, f.near_keys, block * places * dim, places, dim);
  softmax(near);
  for (let o = 0; o < places; o++) {
    multiplyRows(far, f.far_queries, (o * blocks + block) * dim, f.far_keys, o * blocks * dim, blocks, dim);
    softmax(far);
    for (let b = 0; b < blocks; b++) writeCell(out, f, b, o, near[o] * far[b]);
  }
  return out;
}

/** Writes how much every cell draws from cell p through both passes. */
export function writeInterlacedColumn(out, f, p) {
  const [places, blocks, dim] = f.shapes.far_queries, { near, far, block, place } = prepare(f, p);
  multiplyRows(far, f.far_keys, (place * blocks + block) * dim, f.far_queries, place * blocks * dim, blocks, dim);
  for (let b = 0; b < blocks; b++) {
    const weight = exponential(far[b] - f.far_lse[place * blocks + b]);
    multiplyRows(near, f.near_keys, (b * places + place) * dim, f.near_queries, b * places * dim, places, dim);
    for (let o = 0; o < places; o++) writeCell(out, f, b, o, weight * exponential(near[o] - f.near_lse[b * places + o]));
  }
  return out;
}

/** A cell's block and its place there, and room for the logits of both passes. */
function prepare(f, p) {
  const [places, blocks] = f.shapes.far_queries, [rows, columns] = f.block, [, width] = f.grid;
  f.passes ??= { near: f.allocate(places), far: f.allocate(blocks) };
  const y = Math.floor(p / width) + f.padding[0], x = (p % width) + f.padding[1];
  const block = Math.floor(y / rows) * Math.ceil(width / columns) + Math.floor(x / columns);
  return { ...f.passes, block, place: (y % rows) * columns + (x % columns) };
}

/** Writes the weight of a place in a block, unless it is padding. */
function writeCell(out, f, block, place, weight) {
  const [height, width] = f.grid, [rows, columns] = f.block, along = Math.ceil(width / columns);
  const row = Math.floor(block / along) * rows + Math.floor(place / columns) - f.padding[0];
  const column = (block % along) * columns + (place % columns) - f.padding[1];
  if (row >= 0 && row < height && column >= 0 && column < width) out[row * width + column] = weight;
}
