// Zoom and pan. A view {zoom, left, top} says which part of the picture the stages show: the picture is `zoom` stages
// wide, and a stage's top left corner shows the place (left, top), in fractions of the picture. All stages have the
// picture's aspect ratio, so one view serves all of them. Pure functions.

export const WHOLE = Object.freeze({ zoom: 1, left: 0, top: 0 });
const CLOSEST = 32; // CSS pixels per image pixel, at most

/**
 * The view at another zoom. The place at (x, y), in fractions of the stage, stays where it is, or moves to (toX, toY).
 * `actual` is the zoom at which one image pixel is one CSS pixel.
 */
export function zoomView(view, zoom, x, y, actual, toX = x, toY = y) {
  const next = Math.max(Math.min(1, actual), Math.min(Math.max(1, CLOSEST * actual), zoom));
  const along = (edge, from, to) => edge + from / view.zoom - to / next;
  return clampView({ zoom: next, left: along(view.left, x, toX), top: along(view.top, y, toY) });
}

/** The view after dragging the picture by fractions of the stage. */
export function panView(view, x, y) {
  return clampView({ ...view, left: view.left - x / view.zoom, top: view.top - y / view.zoom });
}

/** Whether a view shows a place, given in fractions of the picture. */
export function isInView({ zoom, top, left }, y, x) {
  const isAlong = (edge, at) => at >= edge && at <= edge + 1 / zoom;
  return isAlong(top, y) && isAlong(left, x);
}

/** The nearest view that shows a place, given in fractions of the picture. */
export function revealPlace(view, y, x) {
  const along = (edge, at) => Math.max(at - 1 / view.zoom, Math.min(at, edge));
  return isInView(view, y, x) ? view : clampView({ ...view, left: along(view.left, x), top: along(view.top, y) });
}

/** The view that Python describes, within the limits of `zoomView`. */
export function limitView({ zoom, left, top }, actual) {
  return clampView({ ...zoomView(WHOLE, zoom, 0, 0, actual), left, top });
}

/** Removes margins while the picture is larger than the stage, and centres the picture once it is smaller. */
function clampView({ zoom, left, top }) {
  const room = 1 - 1 / zoom;
  const along = (edge) => (room < 0 ? room / 2 : Math.max(0, Math.min(room, edge)));
  return { zoom, left: along(left), top: along(top) };
}
