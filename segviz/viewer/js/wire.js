// Reads the bytes of a map that segviz/viewer/wire.py packed.
import { allocateFloats, copyToWasm } from "./wasm_products.js";

const LARGE = 2 ** 21; // bytes from which a WebAssembly memory pays off
const ARRAYS = { uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, int32: Int32Array, float32: Float32Array };
// The kinds that take dot products.
const WASM_KINDS = ["dot", "strip", "cross", "bases", "pooled", "interlaced", "similarity", "heads", "windows", "linear", "objects"];

/** One blob -> the map's factors: {kind, grid, ...its other fields, and a typed array per tensor}. */
export function unpack(blob, wasm = blob.byteLength >= LARGE) {
  const length = new DataView(blob).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(blob, 4, length)));
  const factors = { ...header, shapes: {} }, names = header.tensors.map(({ name }) => name);
  const stepped = header.tensors.filter(({ name }) => names.includes(`${name}_unit`)); // int16, floats once they are read
  const buffer = wasm && WASM_KINDS.includes(header.kind) ? copyFactors(blob, header, stepped) : blob;
  const source = stepped.length ? blob : buffer;
  for (const { name, shape, offset, dtype } of header.tensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    factors[name] = new ARRAYS[dtype](source, 4 + length + offset, size);
    factors.shapes[name] = shape;
  }
  factors.allocate = (count) => allocateFloats(buffer, count);
  if (header.kind === "similarity") factors.unit_features = readUnitFeatures(factors);
  for (const { name } of stepped) factors[name] = readSteps(factors, name);
  return factors;
}

/** A WebAssembly memory with the blob, or with room for the numbers that are sent in steps. */
function copyFactors(blob, { kind, grid, tensors }, stepped) {
  const lines = Math.max(grid[0] * grid[1], ...tensors.map(({ shape }) => shape.at(-2) ?? 0)); // the longest result
  if (stepped.length) {
    const floats = stepped.reduce((sum, { shape }) => sum + shape.reduce((a, b) => a * b, 1), 0);
    return copyToWasm(new ArrayBuffer(0), lines, floats + lines);
  }
  // Criss-cross keeps a second copy of its factors, similarity its features as floats.
  const extra = kind === "cross" ? blob.byteLength / 4 : kind === "similarity" ? blob.byteLength / 2 : lines;
  return copyToWasm(blob, lines, extra);
}

/** Steps as the numbers that they stand for. */
function readUnitFeatures({ unit_features: values, steps, allocate }) {
  const floats = allocate(values.length);
  for (let i = 0; i < values.length; i++) floats[i] = values[i] / steps;
  return floats;
}

/** The numbers of a factor, (..., heads, tokens, dim), whose steps differ by head and channel. */
function readSteps(factors, name) {
  const numbers = factors[name], unit = factors[`${name}_unit`], floats = factors.allocate(numbers.length);
  const [heads] = factors.shapes[`${name}_unit`], [tokens, dim] = factors.shapes[name].slice(-2);
  for (let at = 0, group = 0; at < numbers.length; group++) {
    const first = (group % heads) * dim;
    for (let token = 0; token < tokens; token++) for (let d = 0; d < dim; d++, at++) floats[at] = numbers[at] * unit[first + d];
  }
  return floats;
}
