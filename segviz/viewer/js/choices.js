// What a place chooses between, which is the base of its entropy; as `choice_weights` in segviz/attention/statistics.py.
import { softmax } from "./arithmetic.js";
import { readMaskLine } from "./offset_masks.js";
import { stripLogits } from "./strips.js";

/**
 * The weights of all that a cell chooses between, and how many there are: strips, samples or pooled tokens, or the cells
 * of the map's `values`, of which those out of reach have weight 0 and do not count.
 */
export function choicesAt(f, look, row, column, values) {
  const p = row * f.grid[1] + column, cells = { weights: values, count: values.length };
  if (look !== "attends_to" && look !== "points") return cells; // who looks at a place is a choice of cells
  switch (f.kind) {
    case "strip": return countAll(softmax(stripLogits(f, p)));
    case "pooled": case "samples": return countAll(f.weights.subarray(p * f.shapes.weights[1], (p + 1) * f.shapes.weights[1]));
    case "cross": return f.shapes.queries[0] > 1 ? cells : { weights: values, count: f.grid[0] + f.grid[1] - 1 };
    case "offsets": return { weights: values, count: countReached(f, p) };
    default: return cells;
  }
}

function countAll(weights) {
  return { weights, count: weights.length };
}

/** How many cells a mask reaches from cell p. */
function countReached(f, p) {
  f.mask ??= new Float32Array(f.grid[0] * f.grid[1]);
  let count = 0;
  for (const logit of readMaskLine(f.mask, f, p, f.direction === "collect")) if (logit !== -Infinity) count += 1;
  return count;
}
