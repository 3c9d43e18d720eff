// Reads the bytes of a map that segviz/viewer/wire.py packed.
import { allocateFloats, copyToWasm } from "./wasm_products.js";

const LARGE = 2 ** 21; // bytes from which a WebAssembly memory pays off
const ARRAYS = { uint8: Uint8Array, int16: Int16Array, uint16: Uint16Array, float32: Float32Array };
const WASM_KINDS = ["dot", "strip", "cross", "bases", "similarity"]; // their weights are dot products

/** One blob -> the map's factors: {kind, grid, ...its other fields, and a typed array per tensor}. */
export function unpack(blob, wasm = blob.byteLength >= LARGE) {
  const length = new DataView(blob).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(blob, 4, length)));
  const factors = { ...header, shapes: {} }, cells = header.grid[0] * header.grid[1];
  // Criss-cross keeps a second copy of its factors, similarity its features as floats.
  const extra = header.kind === "cross" ? blob.byteLength / 4 : header.kind === "similarity" ? blob.byteLength / 2 : cells;
  const buffer = wasm && WASM_KINDS.includes(header.kind) ? copyToWasm(blob, cells, extra) : blob;
  for (const { name, shape, offset, dtype } of header.tensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    factors[name] = new ARRAYS[dtype](buffer, 4 + length + offset, size);
    factors.shapes[name] = shape;
  }
  factors.allocate = (count) => allocateFloats(buffer, count);
  if (header.kind === "similarity") factors.unit_features = readUnitFeatures(factors);
  return factors;
}

/** Steps as the numbers that they stand for. */
function readUnitFeatures({ unit_features: values, steps, allocate }) {
  const floats = allocate(values.length);
  for (let i = 0; i < values.length; i++) floats[i] = values[i] / steps;
  return floats;
}
