// Deformable attention (segviz/attention/deformable.py): points on several levels. The weight on a cell of a coarse level
// is divided evenly among the cells of the finest level, `key_grid`, whose centres it holds. Queries are cells or objects.
import { shareInside, sortSamplesBySquare } from "./samples.js";

/** Writes what a query's points draw from each cell of the finest level in one head. */
export function writeQueryPoints(out, f, query, head) {
  const { starts } = levelLines(f), across = f.key_grid[1];
  out.fill(0);
  eachPoint(f, query, head, (weight, y, x, level, [rows, columns]) => {
    const top = Math.floor(y), left = Math.floor(x), { down, along } = starts[level];
    for (let r = Math.max(0, top); r < Math.min(rows, top + 2); r++) {
      for (let c = Math.max(0, left); c < Math.min(columns, left + 2); c++) {
        const cells = (down[r + 1] - down[r]) * (along[c + 1] - along[c]);
        const share = (weight * (1 - Math.abs(y - r)) * (1 - Math.abs(x - c))) / cells;
        for (let i = down[r]; i < down[r + 1]; i++) {
          for (let j = i * across + along[c]; j < i * across + along[c + 1]; j++) out[j] += share;
        }
      }
    }
  });
  return out;
}

/** Writes how much each query draws from a cell of the finest level in one head; reads only the points near it. */
export function writeCellLooks(out, f, row, column, head) {
  const [, queries, levels, points] = f.shapes.weights, { starts, holders } = levelLines(f);
  f.near ??= new Map();
  out.fill(0);
  for (let level = 0; level < levels; level++) {
    const key = head * levels + level;
    if (!f.near.has(key)) f.near.set(key, sortSamplesBySquare({ grid: f.levels[level], ...pointsOf(f, head, level) }));
    const { positions, weights, starts: squares, order } = f.near.get(key), width = f.levels[level][1] + 1;
    const r = holders[level].down[row], c = holders[level].along[column], { down, along } = starts[level];
    const cells = (down[r + 1] - down[r]) * (along[c + 1] - along[c]);
    for (let line = r; line < r + 2; line++) {
      for (let n = squares[line * width + c]; n < squares[line * width + c + 2]; n++) {
        const i = order[n], near = (1 - Math.abs(positions[2 * i] - r)) * (1 - Math.abs(positions[2 * i + 1] - c));
        out[(i / points) | 0] += (weights[i] * near) / cells;
      }
    }
  }
  return out;
}

/** The weight that falls outside the grids in one head. */
export function shareOffGrid(f, query, head) {
  let off = 0;
  eachPoint(f, query, head, (weight, y, x, level, [rows, columns]) => {
    off += weight * (1 - shareInside(y, rows) * shareInside(x, columns));
  });
  return off;
}

/** A query's points in cells of the finest level, as `samplesAt` in samples.js; of all heads, with their shares of a view. */
export function deformablePoints(f, query, view) {
  const [rows, columns] = f.key_grid, samples = [];
  for (let h = 0; h < f.heads; h++) {
    if (Number.isInteger(view) && view !== h) continue;
    eachPoint(f, query, h, (weight, y, x, level, [down, along], at) => {
      if (weight === 0) return; // fills up a level with fewer points than others
      const [fineY, fineX] = [f.positions[2 * at] * rows - 0.5, f.positions[2 * at + 1] * columns - 0.5];
      samples.push({
        y: fineY, x: fineX, weight: view === "mean" ? weight / f.heads : weight,
        outside: fineY < -0.5 || fineX < -0.5 || fineY > rows - 0.5 || fineX > columns - 0.5,
        inside: shareInside(y, down) * shareInside(x, along),
      });
    });
  }
  return samples;
}

/** Calls `visit` with each point of a query in one head: weight, position in cells of its level, the level and its grid. */
function eachPoint(f, query, head, visit) {
  const [, queries, levels, points] = f.shapes.weights;
  for (let level = 0, at = (head * queries + query) * levels * points; level < levels; level++) {
    const grid = f.levels[level];
    for (let k = 0; k < points; k++, at++) {
      visit(f.weights[at], f.positions[2 * at] * grid[0] - 0.5, f.positions[2 * at + 1] * grid[1] - 0.5, level, grid, at);
    }
  }
}

/** All queries' points on one level in one head, in cells of the level. */
function pointsOf(f, head, level) {
  const [, queries, levels, points] = f.shapes.weights, [rows, columns] = f.levels[level];
  const positions = new Float32Array(2 * queries * points), weights = new Float32Array(queries * points);
  for (let q = 0, i = 0; q < queries; q++) {
    const first = ((head * queries + q) * levels + level) * points;
    for (let at = first; at < first + points; at++, i++) {
      positions[2 * i] = f.positions[2 * at] * rows - 0.5;
      positions[2 * i + 1] = f.positions[2 * at + 1] * columns - 0.5;
      weights[i] = f.weights[at];
    }
  }
  return { positions, weights };
}

/**
 * For each level, which of its rows and columns hold the finest level's, and where those of each begin: `holding_lines` in
 * level_samples.py.
 */
function levelLines(f) {
  if (f.lines) return f.lines;
  const along = (side) => f.levels.map((level) => {
    const fine = f.key_grid[side], coarse = level[side], starts = new Uint32Array(coarse + 1);
    const holders = Uint32Array.from({ length: fine }, (_, at) => Math.floor(((2 * at + 1) * coarse) / (2 * fine)));
    for (const line of holders) starts[line + 1] += 1;
    for (let line = 0; line < coarse; line++) starts[line + 1] += starts[line];
    return { holders, starts };
  });
  const [rows, columns] = [along(0), along(1)];
  const both = (name) => rows.map((one, level) => ({ down: one[name], along: columns[level][name] }));
  f.lines = { starts: both("starts"), holders: both("holders") };
  return f.lines;
}
