// Outlines of classes, drawn at the screen's resolution so that they are equally thin at any zoom. Pure functions.

const LIGHT = 0xffffffff, DARK = 0xff101010;
const OUTSIDE = -2; // the group of pixels outside the picture

/**
 * Writes outlines into the pixel words of a canvas of wide x high pixels: a light and a dark pixel at each border, so
 * that they show on any colour. `groups` maps each label to a group; borders are drawn between groups, not at the
 * picture's edge. `stretch`, down and across, allows for a stage whose size is not a whole number of CSS pixels. With
 * `outside`, a border is one light pixel on the side of the lower group, so that small areas of the higher group keep
 * all their pixels.
 */
export function traceOutlines(pixels, [wide, high], labels, [rows, columns], view, groups, [stretchY, stretchX] = [1, 1], outside = false) {
  const indicesOf = (count, edge, cells, stretch) => Int32Array.from({ length: count }, (_, at) => {
    const index = Math.floor((edge + (at + 0.5) / count / view.zoom) * cells * stretch);
    return index >= 0 && index < cells ? index : -1;
  });
  const down = indicesOf(high, view.top, rows, stretchY), along = indicesOf(wide, view.left, columns, stretchX);
  let above = new Int16Array(wide).fill(OUTSIDE), here = new Int16Array(wide);
  pixels.fill(0);
  for (let y = 0, at = 0; y < high; y++) {
    const line = down[y] * columns;
    for (let x = 0, left = OUTSIDE; x < wide; x++, at++) {
      const group = down[y] < 0 || along[x] < 0 ? OUTSIDE : groups[labels[line + along[x]]];
      here[x] = group;
      if (group !== OUTSIDE) {
        if (above[x] !== group && above[x] !== OUTSIDE) drawBorder(pixels, at, at - wide, outside, above[x] > group);
        if (left !== group && left !== OUTSIDE) drawBorder(pixels, at, at - 1, outside, left > group);
      }
      left = group;
    }
    [above, here] = [here, above];
  }
}

function drawBorder(pixels, at, before, outside, falls) {
  if (outside) {
    pixels[falls ? at : before] = LIGHT;
    return;
  }
  pixels[at] = LIGHT;
  if (pixels[before] !== LIGHT) pixels[before] = DARK;
}
