// Borders between classes, drawn for the screen so that they stay as thin at any zoom. Pure functions.

const LIGHT = 0xffffffff, DARK = 0xff101010;
const OUTSIDE = -2;

/**
 * Writes outlines into the pixel words of a canvas of wide x high pixels: a light pixel and a dark one at each border,
 * to be seen on any colour. `groups` maps a label to what counts as one class; the picture's own edge is no border.
 * `stretch` is how much larger the view is, down and across, than what it shows. With `outside`, a light pixel alone
 * lies on the side of the lesser group: what rises from it keeps all of its own pixels, be they few.
 */
export function outline(pixels, [wide, high], labels, [rows, columns], view, groups, [stretchY, stretchX] = [1, 1], outside = false) {
  const placesOf = (count, edge, cells, stretch) => Int32Array.from({ length: count }, (_, at) => {
    const place = Math.floor((edge + (at + 0.5) / count / view.zoom) * cells * stretch);
    return place >= 0 && place < cells ? place : -1;
  });
  const down = placesOf(high, view.top, rows, stretchY), along = placesOf(wide, view.left, columns, stretchX);
  let above = new Int16Array(wide).fill(OUTSIDE), here = new Int16Array(wide);
  pixels.fill(0);
  for (let y = 0, at = 0; y < high; y++) {
    const line = down[y] * columns;
    for (let x = 0, left = OUTSIDE; x < wide; x++, at++) {
      const group = down[y] < 0 || along[x] < 0 ? OUTSIDE : groups[labels[line + along[x]]];
      here[x] = group;
      if (group !== OUTSIDE) {
        if (above[x] !== group && above[x] !== OUTSIDE) mark(pixels, at, at - wide, outside, above[x] > group);
        if (left !== group && left !== OUTSIDE) mark(pixels, at, at - 1, outside, left > group);
      }
      left = group;
    }
    [above, here] = [here, above];
  }
}

function mark(pixels, at, before, outside, falls) {
  if (outside) {
    pixels[falls ? at : before] = LIGHT;
    return;
  }
  pixels[at] = LIGHT;
  if (pixels[before] !== LIGHT) pixels[before] = DARK;
}
