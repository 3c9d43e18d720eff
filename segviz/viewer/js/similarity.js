// Cosines of features (segviz/attention/similarity.py).
import { multiplyRows } from "./arithmetic.js";

/** Writes the cosine of cell p's feature with every cell's. */
export function cosinesOf(out, f, p) {
  const [cells, channels] = f.shapes.unit_features;
  return multiplyRows(out, f.unit_features, p * channels, f.unit_features, 0, cells, channels);
}
