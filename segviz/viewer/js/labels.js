// Where the labels of cells' boxes stand: beside their boxes, and not over each other. Pure functions, in CSS pixels.

const AWAY = 12; // a step away from the box
const MOST_STEPS = 4;
const OVERLAP = 2; // how far a label at a corner reaches into its box's rows
const GAP = 1; // between a box, or another label, and the label
const COSTS = { taken: 100, box: 1, step: 1.5 };
const CORNERS = [[-1, 1], [-1, -1], [1, 1], [1, -1]]; // above or under the box, after or before it
const SIDES = [[-1, 0], [0, 1], [1, 0], [0, -1]];

/**
 * The places of labels, in order, each { top, left, isAway }: at the corner of its box, or some steps away from it, where
 * it covers no other label, then few other boxes. `isAway` is whether a line must lead to it.
 *
 * `boxes` are rectangles { top, left, bottom, right } with the label's `wide` and `high`; `taken` are rectangles to leave
 * free, and `size` is the room.
 */
export function placeLabels(boxes, taken, size) {
  const free = [...taken];
  return boxes.map((box) => {
    let least = Infinity, best = null;
    for (const one of candidates(box)) {
      const cost = costOf(one, boxes.filter((other) => other !== box), free, size) + COSTS.step * one.steps;
      if (cost < least) [least, best] = [cost, one];
    }
    free.push(best);
    return { top: best.top, left: best.left, isAway: best.steps > 0 };
  });
}

function* candidates({ top, left, bottom, right, wide, high }) {
  for (let steps = 0; steps <= MOST_STEPS; steps++) {
    for (const [down, along] of steps ? [...CORNERS, ...SIDES] : CORNERS) {
      const reach = steps * AWAY - (steps ? 0 : OVERLAP), beyond = steps * AWAY + GAP;
      const y = [top - reach - high, (top + bottom - high) / 2, bottom + reach][down + 1];
      const x = [left - beyond - wide, (left + right - wide) / 2, right + beyond][along + 1];
      yield { top: y, left: x, bottom: y + high, right: x + wide, steps };
    }
  }
}

function costOf(label, boxes, taken, { height, width }) {
  const isOutside = label.top < 0 || label.left < 0 || label.bottom > height || label.right > width;
  const hidden = taken.filter((one) => isOver(label, one)).length + (isOutside ? taken.length + 1 : 0);
  return COSTS.taken * hidden + COSTS.box * boxes.filter((one) => isOver(label, one)).length;
}

const isOver = (one, other) =>
  one.left < other.right + GAP && other.left < one.right + GAP && one.top < other.bottom && other.top < one.bottom;
