// Which cell an image pixel belongs to, and where the cells are on the picture. Pure functions.

/** The cell (row, column) of an image pixel, on the grid of the factors `f`. */
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

/** Rounds as Python's round() does. */
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

/** Where the grid is on the picture, in fractions of it: row r begins at top + r * pitchY and is one pitch high. */
export function extent(f, height, width) {
  const [rows, columns] = f.grid;
  const [top, pitchY] = span(f.mapping, rows, height), [left, pitchX] = span(f.mapping, columns, width);
  return { top, left, pitchY, pitchX };
}

function span(mapping, cells, pixels) {
  if (mapping !== "align_corners" || cells < 2) return [0, 1 / cells];
  const pitch = (pixels - 1) / (cells - 1); // the first and last centres are the first and last pixels
  return [(0.5 - pitch / 2) / pixels, pitch / pixels];
}
