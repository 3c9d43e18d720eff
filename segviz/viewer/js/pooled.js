// Attention to pooled tokens (segviz/attention/pooled.py).
import { multiplyRows } from "./arithmetic.js";

/** Writes the weights of cell p, each token's spread over the cells that it pools. */
export function spreadOverPools(out, f, p) {
  const [cells, tokens] = f.shapes.weights;
  return multiplyRows(out, f.weights, p * tokens, f.pools, 0, cells, tokens);
}

/** Writes how much every cell draws from cell p by way of the tokens that pool it. */
export function gatherFromPools(out, f, p) {
  const [cells, tokens] = f.shapes.weights;
  return multiplyRows(out, f.pools, p * tokens, f.weights, 0, cells, tokens);
}
