// Sampled attention (maps of the kind "samples"): each cell reads K samples, each spread over the four cells around it.

/** The K samples of a cell: positions (y, x) in grid cells, weights, undisplaced positions, and which are outside. */
export function samplesAt(f, row, column) {
  const points = f.shapes.weights[1], from = (row * f.grid[1] + column) * points;
  const [height, width] = f.grid;
  return Array.from({ length: points }, (_, k) => {
    const y = f.positions[2 * (from + k)], x = f.positions[2 * (from + k) + 1];
    return {
      y, x, weight: f.weights[from + k],
      restY: row + f.window[2 * k], restX: column + f.window[2 * k + 1],
      outside: y < -0.5 || x < -0.5 || y > height - 0.5 || x > width - 0.5,
      inside: shareInside(y, height) * shareInside(x, width), // the share of its weight that falls on cells
    };
  });
}

/** The share of a bilinear sample that falls on the grid along one axis: 1 between the first and the last centre. */
export function shareInside(at, size) {
  return Math.max(0, Math.min(1, 1 + at, size - at));
}

/** Writes the weights of cell p's samples, each spread over four cells; what falls outside the grid is lost. */
export function splatSamples(out, f, p) {
  const [height, width] = f.grid, points = f.shapes.weights[1];
  out.fill(0);
  for (let i = p * points; i < (p + 1) * points; i++) {
    const y = f.positions[2 * i], x = f.positions[2 * i + 1], top = Math.floor(y), left = Math.floor(x);
    for (let r = top; r < top + 2; r++) {
      if (r < 0 || r >= height) continue;
      for (let c = left; c < left + 2; c++) {
        if (c < 0 || c >= width) continue;
        out[r * width + c] += f.weights[i] * (1 - Math.abs(y - r)) * (1 - Math.abs(x - c));
      }
    }
  }
  return out;
}

/** Writes how much weight every cell's samples put on one cell; reads only the samples near it. */
export function gatherSamples(out, f, row, column) {
  const { positions, weights } = f, points = f.shapes.weights[1], across = f.grid[1] + 1;
  f.squares ??= sortSamplesBySquare(f);
  const { starts, order } = f.squares;
  out.fill(0);
  for (let down = row; down < row + 2; down++) {
    const first = starts[down * across + column], end = starts[down * across + column + 2];
    for (let n = first; n < end; n++) {
      const i = order[n];
      const near = (1 - Math.abs(positions[2 * i] - row)) * (1 - Math.abs(positions[2 * i + 1] - column));
      out[(i / points) | 0] += weights[i] * near;
    }
  }
  return out;
}

/**
 * Sorts all N K samples once by the square between four cell centres that contains them. Square (r, c) has cell (r, c)
 * at its lower right; the squares at the border reach one cell beyond the grid.
 */
export function sortSamplesBySquare({ grid: [height, width], positions, weights }) {
  const across = width + 1, squares = (height + 1) * across, count = weights.length;
  const square = new Uint32Array(count), starts = new Uint32Array(squares + 2); // the last one: samples in no square
  for (let i = 0; i < count; i++) {
    const r = Math.floor(positions[2 * i]) + 1, c = Math.floor(positions[2 * i + 1]) + 1;
    square[i] = r >= 0 && r <= height && c >= 0 && c <= width ? r * across + c : squares;
    starts[square[i] + 1] += 1;
  }
  for (let s = 1; s < starts.length; s++) starts[s] += starts[s - 1];
  const order = new Uint32Array(count), next = starts.slice();
  for (let i = 0; i < count; i++) order[next[square[i]]++] = i;
  return { positions, weights, starts, order };
}
