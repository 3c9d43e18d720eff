// Rows and columns of attention maps, computed from the factors `f` (see wire.js). Pure functions without the DOM; each
// kind follows its class in segviz/attention/ and is tested against it. What only columns need is computed on first use.
import { normalise, softmax } from "./arithmetic.js";
import { carryThroughBases } from "./bases.js";
import { carryThroughPasses } from "./criss_cross.js";
import { logitsOf } from "./dot_product.js";
import { divideLogits, readMaskLine } from "./offset_masks.js";
import { gatherSamples, splatSamples } from "./samples.js";
import { cosinesOf } from "./similarity.js";
import { shareAmongStrip, spreadOverStrips, stripLogits } from "./strips.js";

/** Row p of the attention map: how much cell p draws from every cell, as h x w weights, written into `out`. */
export function attendsTo(f, row, column, out = allocateMap(f)) {
  const p = row * f.grid[1] + column;
  switch (f.kind) {
    case "dot": return softmax(logitsOf(out, f.queries, p, f.keys, f.shapes.keys));
    case "strip": return spreadOverStrips(out, f, softmax(stripLogits(f, p)));
    case "cross": return carryThroughPasses(out, f, p, true);
    case "bases": return carryThroughBases(out, f, p);
    case "samples": return splatSamples(out, f, p);
    case "similarity": return cosinesOf(out, f, p);
    case "offsets": {
      readMaskLine(out, f, p, f.direction === "collect");
      return f.divisor ? divideLogits(out, f.divisor) : softmax(out);
    }
    default: throw new Error(`maps of the kind ${f.kind} have no rows`);
  }
}

/** Column p of the attention map: how much every cell draws from cell p. */
export function attendedBy(f, row, column, out = allocateMap(f)) {
  const p = row * f.grid[1] + column;
  switch (f.kind) {
    case "dot": return normalise(logitsOf(out, f.keys, p, f.queries, f.shapes.queries), f.lse);
    case "strip": return shareAmongStrip(out, f, row, column);
    case "cross": return carryThroughPasses(out, f, p, false);
    case "bases": return carryThroughBases(out, f, p); // the matrix is symmetric
    case "samples": return gatherSamples(out, f, row, column);
    case "similarity": return cosinesOf(out, f, p); // the matrix is symmetric
    case "offsets": {
      readMaskLine(out, f, p, f.direction !== "collect");
      return f.divisor ? divideLogits(out, f.divisor) : normalise(out, f.lse);
    }
    default: throw new Error(`maps of the kind ${f.kind} have no columns`);
  }
}

function allocateMap(f) {
  return new Float32Array(f.grid[0] * f.grid[1]);
}
