// Offset masks (PSA): each cell has a mask of logits over its offsets to all other cells.

/**
 * Writes a line of the mask matrix: cell p's own mask (`own`), or the logit that every mask gives to p. Masks that do
 * not reach the whole grid are sent as windows, (cells, 2 reach + 1, 2 reach + 1), centred on their cells; outside the
 * window the logit is -Infinity.
 */
export function readMaskLine(out, f, p, own) {
  const { masks, reach, grid: [height, width] } = f, cells = height * width;
  if (!reach) {
    if (own) out.set(masks.subarray(p * cells, (p + 1) * cells));
    else for (let i = 0, at = p; i < cells; i++, at += cells) out[i] = masks[at];
    return out;
  }
  const [down, along] = reach, wide = 2 * along + 1, size = (2 * down + 1) * wide;
  const row = Math.floor(p / width), column = p % width;
  out.fill(-Infinity);
  for (let r = Math.max(0, row - down); r <= Math.min(height - 1, row + down); r++) {
    for (let c = Math.max(0, column - along); c <= Math.min(width - 1, column + along); c++) {
      const i = r * width + c, dy = own ? r - row : row - r, dx = own ? c - column : column - c;
      out[i] = masks[(own ? p : i) * size + (dy + down) * wide + dx + along];
    }
  }
  return out;
}

/** Turns the logits of a mask without softmax into weights, in place; cells out of reach get 0. */
export function divideLogits(logits, divisor) {
  for (let i = 0; i < logits.length; i++) logits[i] = logits[i] === -Infinity ? 0 : logits[i] / divisor;
  return logits;
}
