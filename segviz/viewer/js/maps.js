// Rows and columns of attention maps, computed from the factors `f` (see wire.js). Pure functions without the DOM; each
// kind follows its class in segviz/attention/ and is tested against it. What only columns need is computed on first use.
// `head` is a network's head, or "mean" or "largest" of all.
import { normalise, softmax } from "./arithmetic.js";
import { carryThroughBases } from "./bases.js";
import { carryThroughPasses } from "./criss_cross.js";
import { shareOffGrid, writeCellLooks, writeQueryPoints } from "./deformable.js";
import { logitsOf } from "./dot_product.js";
import { mixHeads, mixNumbers } from "./heads.js";
import { writeInterlacedColumn, writeInterlacedRow } from "./interlaced.js";
import { declaredWeights, writeDeclaredColumn, writeLinearColumn, writeLinearRow } from "./linear.js";
import { shareOffHead, sumFirst, writeHeadColumn, writeHeadRow } from "./multi_head.js";
import { queryWeights, writeQueriesAt } from "./object_queries.js";
import { divideLogits, readMaskLine } from "./offset_masks.js";
import { gatherFromPools, spreadOverPools } from "./pooled.js";
import { gatherSamples, splatSamples } from "./samples.js";
import { cosinesOf } from "./similarity.js";
import { shareAmongStrip, spreadOverStrips, stripLogits } from "./strips.js";
import { shareOffWindow, writeWindowColumn, writeWindowRow } from "./windowed.js";

/** Row p of the attention map: how much cell p draws from every cell, as h x w weights, written into `out`. */
export function attendsTo(f, row, column, out = allocateMap(f.key_grid ?? f.grid), head = "mean") {
  const p = row * f.grid[1] + column, mix = (write) => mixHeads(out, f, head, write);
  switch (f.kind) {
    case "dot": return softmax(logitsOf(out, f.queries, p, f.keys, f.shapes.keys));
    case "strip": return spreadOverStrips(out, f, softmax(stripLogits(f, p)));
    case "cross": return carryThroughPasses(out, f, p, true);
    case "bases": return carryThroughBases(out, f, p);
    case "interlaced": return writeInterlacedRow(out, f, p);
    case "pooled": return spreadOverPools(out, f, p);
    case "samples": return splatSamples(out, f, p);
    case "similarity": return cosinesOf(out, f, p);
    case "offsets": {
      readMaskLine(out, f, p, f.direction === "collect");
      return f.divisor ? divideLogits(out, f.divisor) : softmax(out);
    }
    case "heads": return mix((to, h) => writeHeadRow(to, f, p + f.prefix, h));
    case "windows": return mix((to, h) => writeWindowRow(to, f, p, h));
    case "linear": return mix((to, h) => writeLinearRow(to, f, p, h));
    case "deformable": return mix((to, h) => writeQueryPoints(to, f, p, h));
    case "matrix": return mix((to, h) => setWeights(to, declaredWeights(f, p + f.prefix, h).subarray(f.key_prefix)));
    default: throw new Error(`maps of the kind ${f.kind} have no rows`);
  }
}

/** Column p of the attention map: how much every cell draws from cell p, a key's cell where these have their own grid. */
export function attendedBy(f, row, column, out = allocateMap(f.grid), head = "mean") {
  const p = row * (f.key_grid ?? f.grid)[1] + column, mix = (write) => mixHeads(out, f, head, write);
  switch (f.kind) {
    case "dot": return normalise(logitsOf(out, f.keys, p, f.queries, f.shapes.queries), f.lse);
    case "strip": return shareAmongStrip(out, f, row, column);
    case "cross": return carryThroughPasses(out, f, p, false);
    case "bases": return carryThroughBases(out, f, p); // the matrix is symmetric
    case "interlaced": return writeInterlacedColumn(out, f, p);
    case "pooled": return gatherFromPools(out, f, p);
    case "samples": return gatherSamples(out, f, row, column);
    case "similarity": return cosinesOf(out, f, p); // the matrix is symmetric
    case "offsets": {
      readMaskLine(out, f, p, f.direction !== "collect");
      return f.divisor ? divideLogits(out, f.divisor) : normalise(out, f.lse);
    }
    case "heads": return mix((to, h) => writeHeadColumn(to, f, p, h));
    case "windows": return mix((to, h) => writeWindowColumn(to, f, p, h));
    case "linear": return mix((to, h) => writeLinearColumn(to, f, p, h));
    case "deformable": return mix((to, h) => writeCellLooks(to, f, row, column, h));
    case "matrix": return mix((to, h) => writeDeclaredColumn(to, f, p, h));
    default: throw new Error(`maps of the kind ${f.kind} have no columns`);
  }
}

/** The whole map of a query that is not in the picture: an object query, or a token such as the class token. */
export function queryMap(f, query, out = allocateMap(f.key_grid), head = "mean") {
  if (f.kind === "deformable objects") return mixHeads(out, f, head, (to, h) => writeQueryPoints(to, f, query, h));
  return mixHeads(out, f, head, f.kind === "objects"
    ? (to, h) => setWeights(to, queryWeights(f, query, h).subarray(f.key_prefix))
    : (to, h) => writeHeadRow(to, f, query, h));
}

/** How much each object query draws from a cell. */
export function queriesAt(f, row, column, head = "mean") {
  const cell = row * f.grid[1] + column, out = new Float32Array((f.shapes.queries ?? f.shapes.weights)[1]);
  return mixHeads(out, f, head, f.kind === "deformable objects"
    ? (to, h) => writeCellLooks(to, f, row, column, h)
    : (to, h) => writeQueriesAt(to, f, cell, h));
}

/** The share of a query's weight that is off the picture; `query` is its number, which begins with the tokens off it. */
export function shareOff(f, query, head = "mean") {
  switch (f.kind) {
    case "heads": return mixNumbers(f, head, (h) => shareOffHead(f, query, h));
    case "windows": return mixNumbers(f, head, (h) => shareOffWindow(f, query, h));
    case "matrix": return mixNumbers(f, head, (h) => sumFirst(declaredWeights(f, query, h), f.key_prefix));
    case "objects": return mixNumbers(f, head, (h) => sumFirst(queryWeights(f, query, h), f.key_prefix));
    case "deformable": case "deformable objects": return mixNumbers(f, head, (h) => shareOffGrid(f, query, h));
    default: return 0;
  }
}

function setWeights(out, weights) {
  out.set(weights);
  return out;
}

function allocateMap(grid) {
  return new Float32Array(grid[0] * grid[1]);
}
