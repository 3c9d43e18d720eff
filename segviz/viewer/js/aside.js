// What a network's map has beside its cells, in words: weight that is off the picture, and who looks at the point.
import { queriesAt, shareOff } from "./maps.js";
import { formatWeight } from "./numbers.js";

const NAMED = 4; // object queries that are listed

/** The line for the map that a layer shows; empty where there is nothing to say. */
export function asideText(layer) {
  const { factors: f, look, head, query } = layer;
  const parts = layer.looking ? [lookingText(layer.looking)] : [];
  if (f.off && look !== "attended_by" && !layer.samples) {
    const token = query ?? layer.row * f.grid[1] + layer.column + (f.prefix ?? 0);
    parts.push(`${formatWeight(shareOff(f, token, head))} of the weight on ${f.off}`);
  }
  return parts.join(" · ");
}

/** The object queries that draw most from a cell, most first, with their weights there. */
export function queriesLooking(f, row, column, head) {
  const weights = queriesAt(f, row, column, head);
  const order = [...weights.keys()].sort((a, b) => weights[b] - weights[a]).slice(0, NAMED);
  return order.map((query) => ({ query, weight: weights[query] }));
}

function lookingText(looking) {
  if (looking[0].weight === 0) return `no query looks here; query ${looking[0].query} is shown`;
  return `query ${looking.map(({ query, weight }) => `${query}: ${formatWeight(weight)}`).join(", ")}`;
}
