// Views of a network's heads: one head, the mean of the heads' weights, or the largest weight of all at each place.

let headWeights = new Float32Array(0);

/** Writes a view of the heads into `out`; `write(out, h)` writes the weights of one of them. */
export function mixHeads(out, { heads }, view, write) {
  if (Number.isInteger(view)) return write(out, view);
  if (headWeights.length < out.length) headWeights = new Float32Array(out.length);
  const one = headWeights.subarray(0, out.length), largest = view === "largest";
  out.fill(largest ? -Infinity : 0);
  for (let h = 0; h < heads; h++) {
    write(one, h);
    if (largest) for (let i = 0; i < out.length; i++) out[i] = Math.max(out[i], one[i]);
    else for (let i = 0; i < out.length; i++) out[i] += one[i] / heads;
  }
  return out;
}

/** The same view of a number that each head has. */
export function mixNumbers({ heads }, view, numberOf) {
  return mixHeads(new Float32Array(1), { heads }, view, (out, h) => {
    out[0] = numberOf(h);
    return out;
  })[0];
}

/** Room for the logits of one head, beside the factors so that the products need no copy. */
export function headLogits(f, count) {
  f.line ??= f.allocate(Math.max(f.shapes.queries.at(-2), f.shapes.keys.at(-2)));
  return f.line.subarray(0, count);
}
