// Which cell an image pixel belongs to, and where the cells are on the picture. Pure functions. `f.features` is the grid
// that the cells were drawn from, corner cells on corner cells, if it is another; it divides the picture evenly.
// `f.covers` is what the grid covers, in heights and widths of the picture, if the network saw the picture padded.
// `f.part` is the crop of the picture that the grid divides, if the network saw one: its `region` (top, left, height,
// width), and the picture's `shape` (height, width), in pixels.

/** Where the point and the values of a look lie, for the functions below: the keys may have a grid of their own. */
export function gridsOf(f, look, part = null) {
  const { grid, features, covers } = f, own = { grid, features, covers, part };
  if (!f.key_grid) return { point: own, values: own };
  const queries = { grid, covers, part }, keys = { grid: f.key_grid, covers, part };
  if (look === "query" || f.kind === "deformable objects") return { point: keys, values: keys };
  return look === "attended_by" ? { point: keys, values: queries } : { point: queries, values: keys };
}

/** The cell (row, column) of an image pixel, on the grid of the factors `f`. */
export function cellOf(f, y, x, height, width) {
  if (f.part) {
    const [top, left, tall, wide] = f.part.region;
    return cellOf({ ...f, part: null }, y - top, x - left, tall, wide);
  }
  const [rows, columns] = f.grid, [down, along] = f.features ?? f.grid, [tall, wide] = f.covers ?? [1, 1];
  return [cellAlong(y, roundToEven(height * tall), rows, down), cellAlong(x, roundToEven(width * wide), columns, along)];
}

/** The nearest whole number, as Python rounds. */
function roundToEven(value) {
  const low = Math.floor(value), rest = value - low;
  return rest > 0.5 || (rest === 0.5 && low % 2) ? low + 1 : low;
}

/** As `pixels_to_cells` in segviz/attention/grid_map.py: the same operations in the same order, so the same cell. */
function cellAlong(at, pixels, cells, features) {
  if (cells === 1 || cells === features) return Math.floor(((at + 0.5) * cells) / pixels);
  return Math.floor(((((at + 0.5) * features) / pixels - 0.5) * (cells - 1)) / (features - 1) + 0.5);
}

/** The image pixel at the middle of a cell. */
export function pixelOf(f, row, column, height, width) {
  const { top, left, pitchY, pitchX } = extent(f);
  const inside = (value, size) => Math.max(0, Math.min(size - 1, Math.floor(value * size + 1e-9)));
  return [inside(top + (row + 0.5) * pitchY, height), inside(left + (column + 0.5) * pitchX, width)];
}

/** Where the grid is on the picture, in fractions of it: row r begins at top + r * pitchY and is one pitch high. */
export function extent(f) {
  const [rows, columns] = f.grid, features = f.features ?? f.grid;
  const [top, pitchY] = span(rows, features[0]), [left, pitchX] = span(columns, features[1]), [tall, wide] = f.covers ?? [1, 1];
  const frame = frameOf(f.part), down = tall * frame.height, across = wide * frame.width;
  return { top: frame.top + top * down, left: frame.left + left * across, pitchY: pitchY * down, pitchX: pitchX * across };
}

/** Where a part of the picture lies, in fractions of the picture; without one, all of it. */
export function frameOf(part) {
  if (!part) return { top: 0, left: 0, height: 1, width: 1 };
  const [top, left, tall, wide] = part.region, [height, width] = part.shape;
  return { top: top / height, left: left / width, height: tall / height, width: wide / width };
}

/** Whether an image pixel lies outside a part of the picture. */
export function isOutside(part, [y, x]) {
  if (!part) return false;
  const [top, left, tall, wide] = part.region;
  return y < top || x < left || y >= top + tall || x >= left + wide;
}

function span(cells, features) {
  if (cells === 1 || cells === features) return [0, 1 / cells];
  const pitch = (features - 1) / (cells - 1); // in features; the first and last centres are theirs
  return [(0.5 - pitch / 2) / features, pitch / features];
}
