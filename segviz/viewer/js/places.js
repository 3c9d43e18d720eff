// Where things lie: cells on the picture, and the part of the picture that the stages show. Pure functions.

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

// ---- zoom -----------------------------------------------------------------------------------------------
// A view is {zoom, left, top}: the picture is `zoom` stages wide, and the stage's corner shows the place (left, top),
// both in fractions of the picture. All stages have the picture's shape, so one view serves all of them.

export const WHOLE = Object.freeze({ zoom: 1, left: 0, top: 0 });
const CLOSEST = 32; // CSS pixels for a pixel of the picture, at most

/** The view with another zoom, by which the place at (x, y), in fractions of the stage, stays, or goes to (toX, toY). */
export function zoomed(view, zoom, x, y, full, toX = x, toY = y) {
  const next = Math.max(Math.min(1, full), Math.min(Math.max(1, CLOSEST * full), zoom));
  const along = (edge, from, to) => edge + from / view.zoom - to / next;
  return settled({ zoom: next, left: along(view.left, x, toX), top: along(view.top, y, toY) });
}

/** The view moved by fractions of the stage, as a hand moves a sheet of paper. */
export function dragged(view, x, y) {
  return settled({ ...view, left: view.left - x / view.zoom, top: view.top - y / view.zoom });
}

/** The nearest view that shows a place of the picture, given in fractions of it. */
export function containing(view, y, x) {
  const along = (edge, at) => Math.max(at - 1 / view.zoom, Math.min(at, edge));
  return y >= view.top && x >= view.left && y <= view.top + 1 / view.zoom && x <= view.left + 1 / view.zoom
    ? view
    : settled({ ...view, left: along(view.left, x), top: along(view.top, y) });
}

/** No margins while the picture is larger than the stage; the same on both sides once it is smaller. */
function settled({ zoom, left, top }) {
  const room = 1 - 1 / zoom;
  const along = (edge) => (room < 0 ? room / 2 : Math.max(0, Math.min(room, edge)));
  return { zoom, left: along(left), top: along(top) };
}
