// Draws the samples of a cell over the picture.
import { extent, frameOf } from "./cells.js";

/** Draws dots whose area and brightness follow the weight; samples outside the picture become wedges on its border. */
export function drawSamples(context, layer, { width, height }, view) {
  const { scale, table } = layer;
  const ratio = globalThis.devicePixelRatio || 1;
  context.setTransform(ratio, 0, 0, ratio, 0, 0);
  context.clearRect(0, 0, width, height);
  const { top, left, pitchY, pitchX } = extent(layer.grids.values);
  const toX = (x) => (left + (x + 0.5) * pitchX - view.left) * view.zoom * width;
  const toY = (y) => (top + (y + 0.5) * pitchY - view.top) * view.zoom * height;
  const frame = frameOf(layer.part); // of what the network saw
  const edge = { left: (frame.left - view.left) * view.zoom * width, top: (frame.top - view.top) * view.zoom * height };
  Object.assign(edge, { right: edge.left + frame.width * view.zoom * width, bottom: edge.top + frame.height * view.zoom * height });
  context.fillStyle = "rgba(255, 255, 255, 0.4)";
  for (const { restY, restX } of layer.samples.filter((sample) => "restY" in sample)) context.fillRect(toX(restX) - 0.75, toY(restY) - 0.75, 1.5, 1.5);
  context.strokeStyle = "rgba(255, 255, 255, 0.8)"; // separates the dark end of a table from the picture
  context.lineWidth = 0.75;
  const largest = Math.max(3, Math.min(8, width / 70)) * Math.max(1, Math.min(2, Math.sqrt(view.zoom)));
  for (const sample of [...layer.samples].sort((a, b) => a.weight - b.weight)) {
    const strength = Math.max(0, Math.min(1, scale.position(sample.weight)));
    const radius = 1.5 + (largest - 1.5) * Math.sqrt(strength); // the area follows the weight
    const [r, g, b] = new Uint8Array(table.buffer, 4 * Math.round(strength * (table.length - 1)), 3);
    context.fillStyle = `rgb(${r}, ${g}, ${b})`;
    context.beginPath();
    if (sample.outside) traceWedge(context, toX(sample.x), toY(sample.y), edge, radius + 2);
    else context.arc(toX(sample.x), toY(sample.y), radius, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
  }
}

/** Traces a triangle at the picture's border that points to a place outside. */
function traceWedge(context, x, y, { left, top, right, bottom }, size) {
  const edgeX = Math.max(left + size, Math.min(right - size, x)), edgeY = Math.max(top + size, Math.min(bottom - size, y));
  const angle = Math.atan2(y - edgeY, x - edgeX);
  for (const turn of [0, 2.4, -2.4]) {
    context.lineTo(edgeX + size * Math.cos(angle + turn), edgeY + size * Math.sin(angle + turn));
  }
  context.closePath();
}
