// Attention maps in the browser: the factors off the wire, and rows and columns computed from them.
// Pure functions without the DOM; each rule is the one of segviz/attention/maps.py, and tested against it.
import { normalise, products, softmax } from "./arithmetic.js";
import { floatsBeside, swiftly } from "./swift_products.js";
import { divided, maskLine, splat, spread, throughBases, touches, walk } from "./map_kinds.js";

const LARGE = 2 ** 21; // bytes from which on a blob is worth a memory with swift products
const ARRAYS = { uint8: Uint8Array, uint16: Uint16Array, float32: Float32Array };
const SWIFT_KINDS = ["dot", "strip", "cross", "bases"];

/** One blob (see wire.py) -> {kind, grid, mapping, ...extra fields, and a typed array per tensor}. */
export function unpack(blob, swift = blob.byteLength >= LARGE) {
  const length = new DataView(blob).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(blob, 4, length)));
  const factors = { ...header, shapes: {} }, cells = header.grid[0] * header.grid[1];
  const more = header.kind === "cross" ? blob.byteLength / 4 : cells; // criss-cross keeps its factors a second time
  const buffer = swift && SWIFT_KINDS.includes(header.kind) ? swiftly(blob, cells, more) : blob;
  for (const { name, shape, offset, dtype } of header.tensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    factors[name] = new ARRAYS[dtype](buffer, 4 + length + offset, size);
    factors.shapes[name] = shape;
  }
  factors.floats = (count) => floatsBeside(buffer, count);
  return factors;
}

/** Row p of the attention matrix: what cell p draws from every cell, as h x w weights, written into `out`. */
export function attendsTo(f, row, column, out = blank(f)) {
  const p = row * f.grid[1] + column;
  switch (f.kind) {
    case "dot": return softmax(all(out, f.queries, p, f.keys, f.shapes.keys));
    case "strip": return spread(out, f, softmax(stripLogits(f, p)));
    case "cross": return walk(out, f, p, true);
    case "bases": return throughBases(out, f, p);
    case "samples": return splat(out, f, p);
    case "offsets": {
      maskLine(out, f, p, f.direction === "collect");
      return f.divisor ? divided(out, f.divisor) : softmax(out);
    }
    default: throw new Error(`no row of a map of kind ${f.kind}`);
  }
}

/** Column p: how much every cell draws from cell p. */
export function attendedBy(f, row, column, out = blank(f)) {
  const p = row * f.grid[1] + column;
  switch (f.kind) {
    case "dot": return normalise(all(out, f.keys, p, f.queries, f.shapes.queries), f.lse);
    case "strip": {
      const vertical = f.axis === "vertical", length = f.grid[vertical ? 0 : 1];
      stripMap(f, vertical ? column : row, out);
      for (let i = 0; i < out.length; i++) out[i] /= length;
      return out;
    }
    case "cross": return walk(out, f, p, false);
    case "bases": return throughBases(out, f, p); // the matrix is symmetric
    case "samples": return touches(out, f, row, column);
    case "offsets": {
      maskLine(out, f, p, f.direction !== "collect");
      return f.divisor ? divided(out, f.divisor) : normalise(out, f.lse);
    }
    default: throw new Error(`no column of a map of kind ${f.kind}`);
  }
}

/** How much every cell reads strip j, A[:, j]; the maps of all strips add up to ones (AttaNet Fig. 9). */
export function stripMap(f, strip, out = blank(f)) {
  return normalise(all(out, f.keys, strip, f.queries, f.shapes.queries), f.lse);
}

/** The K samples of a cell: places (y, x) in grid cells, weights, undisplaced places, who is outside. */
export function samplesAt(f, row, column) {
  const points = f.shapes.weights[1], from = (row * f.grid[1] + column) * points;
  const [height, width] = f.grid;
  return Array.from({ length: points }, (_, k) => {
    const y = f.positions[2 * (from + k)], x = f.positions[2 * (from + k) + 1];
    return {
      y, x, weight: f.weights[from + k],
      restY: row + f.window[2 * k], restX: column + f.window[2 * k + 1],
      outside: y < -0.5 || x < -0.5 || y > height - 0.5 || x > width - 0.5,
      kept: inside(y, height) * inside(x, width), // the share of its weight that falls on cells
    };
  });
}

/** How much of a bilinear sample falls on the grid, along one side: all between the first and last centre. */
function inside(at, size) {
  return Math.max(0, Math.min(1, 1 + at, size - at));
}

function stripLogits(f, p) {
  f.strips ??= f.floats(f.shapes.keys[0]);
  return all(f.strips, f.queries, p, f.keys, f.shapes.keys);
}

/** One vector of `one` against every vector of `many`. */
function all(out, one, index, many, [count, dim]) {
  return products(out, one, index * dim, many, 0, count, dim);
}

function blank(f) {
  return new Float32Array(f.grid[0] * f.grid[1]);
}
