// Attention maps in the browser: the factors off the wire, and rows and columns computed from them.
// Pure functions without the DOM; each rule is the one of segviz/attention.py, and tested against it.

/** One blob (see wire.py) -> {kind, grid, mapping, ...extra fields, and a typed array per tensor}. */
export function unpack(buffer) {
  const length = new DataView(buffer).getUint32(0, true);
  const header = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, length)));
  const factors = { ...header, shapes: {} };
  for (const { name, shape, offset, dtype } of header.tensors) {
    const size = shape.reduce((a, b) => a * b, 1);
    factors[name] = new (dtype === "uint8" ? Uint8Array : Float32Array)(buffer, 4 + length + offset, size);
    factors.shapes[name] = shape;
  }
  return prepare(factors);
}

/** Adds the softmax denominators that columns need and the wire leaves out: once, when the factors arrive. */
function prepare(f) {
  const cells = f.grid[0] * f.grid[1];
  if (f.kind === "strip") {
    f.lse = Float64Array.from({ length: cells }, (_, p) => logSumExp(stripLogits(f, p)));
  } else if (f.kind === "cross") {
    f.lse = Array.from({ length: f.shapes.queries[0] }, (_, pass) => crossNormaliser(f, pass));
  } else if (f.kind === "offsets") {
    f.lse = Float64Array.from({ length: cells }, (_, p) => logSumExp(maskLine(f, p, f.direction === "collect")));
  } else if (f.kind === "bases") {
    const bases = f.shapes.responsibilities[1];
    f.sums = new Float64Array(bases);
    for (let i = 0; i < cells * bases; i++) f.sums[i % bases] += f.responsibilities[i];
  }
  return f;
}

/** Row p of the attention matrix: what cell p draws from every cell, as h x w weights. */
export function seenFrom(f, row, column) {
  const p = row * f.grid[1] + column;
  switch (f.kind) {
    case "dot": return softmax(products(f.queries, p, f.keys, f.shapes.keys));
    case "strip": return spread(f, softmax(stripLogits(f, p)));
    case "cross": return walk(f, p, true);
    case "bases": return throughBases(f, p);
    case "samples": return splat(f, samplesAt(f, row, column));
    case "offsets": {
      const line = maskLine(f, p, f.direction === "collect");
      return f.divisor ? divided(line, f.divisor) : softmax(line);
    }
    default: throw new Error(`no row of a map of kind ${f.kind}`);
  }
}

/** Column p: how much every cell draws from cell p. */
export function seenBy(f, row, column) {
  const p = row * f.grid[1] + column;
  switch (f.kind) {
    case "dot": return weights(products(f.keys, p, f.queries, f.shapes.queries), f.lse);
    case "strip": {
      const vertical = f.axis === "vertical";
      return stripMap(f, vertical ? column : row).map((weight) => weight / f.grid[vertical ? 0 : 1]);
    }
    case "cross": return walk(f, p, false);
    case "bases": return throughBases(f, p); // the matrix is symmetric
    case "samples": return touches(f, row, column);
    case "offsets": {
      const line = maskLine(f, p, f.direction !== "collect");
      return f.divisor ? divided(line, f.divisor) : weights(line, f.lse);
    }
    default: throw new Error(`no column of a map of kind ${f.kind}`);
  }
}

/** How much every cell reads strip j, A[:, j]; the maps of all strips add up to ones (AttaNet Fig. 9). */
export function stripMap(f, strip) {
  return weights(products(f.keys, strip, f.queries, f.shapes.queries), f.lse);
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

/** The largest value, and the smallest; both 0 for an empty map. */
export function range(values) {
  let low = Infinity, high = -Infinity;
  for (let i = 0; i < values.length; i++) {
    if (values[i] < low) low = values[i];
    if (values[i] > high) high = values[i];
  }
  return values.length ? [low, high] : [0, 0];
}

// ---- where cells lie on the picture ---------------------------------------------------------------------

/** The cell of an image pixel. */
export function cellOf(f, y, x, height, width) {
  const [rows, columns] = f.grid;
  if (f.mapping === "align_corners") {
    return [
      roundHalfEven((y * (rows - 1)) / Math.max(height - 1, 1)),
      roundHalfEven((x * (columns - 1)) / Math.max(width - 1, 1)),
    ];
  }
  return [Math.floor(((y + 0.5) * rows) / height), Math.floor(((x + 0.5) * columns) / width)];
}

/** Python's round(). */
function roundHalfEven(value) {
  const rounded = Math.round(value);
  return value % 1 === 0.5 && rounded % 2 ? rounded - 1 : rounded;
}

/** The image pixel at the middle of a cell. */
export function pixelOf(f, row, column, height, width) {
  const { top, left, pitchY, pitchX } = extent(f, height, width);
  const inside = (value, size) => Math.max(0, Math.min(size - 1, Math.floor(value * size + 1e-9)));
  return [inside(top + (row + 0.5) * pitchY, height), inside(left + (column + 0.5) * pitchX, width)];
}

/** Where the grid lies on the picture, in fractions of it: cell r covers top + r * pitchY, one pitch long. */
export function extent(f, height, width) {
  const [rows, columns] = f.grid;
  const [top, pitchY] = span(f.mapping, rows, height), [left, pitchX] = span(f.mapping, columns, width);
  return { top, left, pitchY, pitchX };
}

function span(mapping, cells, pixels) {
  if (mapping !== "align_corners" || cells < 2) return [0, 1 / cells];
  const pitch = (pixels - 1) / (cells - 1); // the first and last centres lie on the first and last pixels
  return [(0.5 - pitch / 2) / pixels, pitch / pixels];
}

// ---- the kinds ------------------------------------------------------------------------------------------

function splat(f, samples) {
  const [height, width] = f.grid, map = new Float32Array(height * width);
  for (const { y, x, weight } of samples) {
    const top = Math.floor(y), left = Math.floor(x);
    for (let r = top; r < top + 2; r++) {
      for (let c = left; c < left + 2; c++) {
        if (r < 0 || c < 0 || r >= height || c >= width) continue;
        map[r * width + c] += weight * (1 - Math.abs(y - r)) * (1 - Math.abs(x - c));
      }
    }
  }
  return map;
}

function touches(f, row, column) {
  const { positions, weights: all } = f, points = f.shapes.weights[1];
  const map = new Float32Array(f.grid[0] * f.grid[1]);
  for (let i = 0; i < all.length; i++) {
    const dy = Math.abs(positions[2 * i] - row);
    if (dy >= 1) continue;
    const dx = Math.abs(positions[2 * i + 1] - column);
    if (dx < 1) map[(i / points) | 0] += all[i] * (1 - dy) * (1 - dx);
  }
  return map;
}

function throughBases(f, p) {
  const z = f.responsibilities, [cells, bases] = f.shapes.responsibilities;
  const shares = f.sums.map((sum, k) => z[p * bases + k] / Math.max(sum, 1e-38));
  const map = new Float32Array(cells);
  for (let j = 0; j < cells; j++) map[j] = dot(z, j * bases, shares, 0, bases);
  return map;
}

/** A line of the mask matrix: p's own mask, or what every mask says of p. */
function maskLine(f, p, own) {
  const cells = f.shapes.masks[0];
  if (own) return f.masks.subarray(p * cells, (p + 1) * cells);
  return Float32Array.from({ length: cells }, (_, i) => f.masks[i * cells + p]);
}

/** Weights of a mask without softmax; what it does not reach has none. */
function divided(logits, divisor) {
  return Float32Array.from(logits, (logit) => (logit === -Infinity ? 0 : logit / divisor));
}

function stripLogits(f, p) {
  return products(f.queries, p, f.keys, f.shapes.keys);
}

/** Each strip's weight, spread evenly over the strip's cells. */
function spread(f, strips) {
  const [height, width] = f.grid, vertical = f.axis === "vertical";
  return Float32Array.from({ length: height * width }, (_, j) =>
    vertical ? strips[j % width] / height : strips[(j / width) | 0] / width);
}

/** The cells of the cross of p: its row, then its column without p itself. */
function crossOf([height, width], p) {
  const row = Math.floor(p / width), column = p % width;
  const cells = new Int32Array(height + width - 1);
  let n = 0;
  for (let c = 0; c < width; c++) cells[n++] = row * width + c;
  for (let r = 0; r < height; r++) if (r !== row) cells[n++] = r * width + column;
  return cells;
}

function crossNormaliser(f, pass) {
  const [, cells, dim] = f.shapes.queries, start = pass * cells * dim;
  return Float64Array.from({ length: cells }, (_, p) => {
    const logit = (j) => dot(f.queries, start + p * dim, f.keys, start + j * dim, dim);
    return logSumExp(Float64Array.from(crossOf(f.grid, p), logit));
  });
}

/** A unit weight on p, carried through the passes: last to first along rows (A2 A1), first to last along columns. */
function walk(f, p, forward) {
  const [passes, cells, dim] = f.shapes.queries;
  let at = new Float64Array(cells);
  at[p] = 1;
  for (let step = 0; step < passes; step++) {
    const pass = forward ? passes - 1 - step : step, start = pass * cells * dim, lse = f.lse[pass];
    const [own, other] = forward ? [f.queries, f.keys] : [f.keys, f.queries];
    const next = new Float64Array(cells);
    for (let i = 0; i < cells; i++) {
      if (at[i] === 0) continue;
      for (const j of crossOf(f.grid, i)) {
        const logit = dot(own, start + i * dim, other, start + j * dim, dim);
        next[j] += at[i] * Math.exp(logit - lse[forward ? i : j]);
      }
    }
    at = next;
  }
  return Float32Array.from(at);
}

// ---- arithmetic -----------------------------------------------------------------------------------------

/** One vector of `one` against every vector of `many`. */
function products(one, index, many, [count, dim]) {
  const logits = new Float64Array(count);
  for (let j = 0; j < count; j++) logits[j] = dot(one, index * dim, many, j * dim, dim);
  return logits;
}

/** Four sums at a time: one alone would wait for each addition to finish. */
function dot(a, i, b, j, length) {
  let s0 = 0, s1 = 0, s2 = 0, s3 = 0, d = 0;
  for (; d + 3 < length; d += 4) {
    s0 += a[i + d] * b[j + d];
    s1 += a[i + d + 1] * b[j + d + 1];
    s2 += a[i + d + 2] * b[j + d + 2];
    s3 += a[i + d + 3] * b[j + d + 3];
  }
  for (; d < length; d++) s0 += a[i + d] * b[j + d];
  return s0 + s1 + s2 + s3;
}

function logSumExp(logits) {
  const [, high] = range(logits);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i] - high);
  return high + Math.log(sum);
}

function softmax(logits) {
  const lse = logSumExp(logits), map = new Float32Array(logits.length);
  for (let i = 0; i < map.length; i++) map[i] = Math.exp(logits[i] - lse);
  return map;
}

function weights(logits, lse) {
  const map = new Float32Array(logits.length);
  for (let i = 0; i < map.length; i++) map[i] = Math.exp(logits[i] - lse[i]);
  return map;
}
