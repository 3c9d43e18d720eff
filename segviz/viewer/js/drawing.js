// How panels are drawn together: all computed, then all scales, then all painted; a failing one fails alone.
import { scaleOf } from "./colour.js";

/** Draws panels for a query; `state` is what all panels share, `pointer` an image pixel or null. */
export function drawPanels(panels, { query, pointer, state }) {
  const safely = (action) => (panel) => {
    try {
      if (panel.loaded) action(panel);
    } catch (error) {
      panel.fail(error);
    }
  };
  panels.forEach(safely((panel) => panel.compute(query, state.settings)));
  setScales(panels.filter((panel) => panel.loaded), state.settings);
  panels.forEach(safely((panel) => {
    panel.draw(state);
    panel.point(pointer, state.view);
  }));
}

/** Each map's scale: its own, or one that spans all maps of its unit on the page, or in a swipe panel. */
function setScales(panels, settings) {
  const groups = new Map();
  panels.forEach((panel, index) => {
    for (const layer of panel.layers) {
      if (layer.isShares) layer.scale = scaleOf("linear", 0, 1);
      if (!layer.isMap || layer.isShares) continue;
      const mode = layer.isWeights || settings.scale !== "log" ? settings.scale : "linear"; // features may be negative
      const key = `${layer.unit} ${settings.range === "shared" ? "" : index}`, [low, high] = layer.limitsOf(mode);
      const group = groups.get(key) ?? { mode, low, high, layers: [] };
      Object.assign(group, { low: Math.min(group.low, low), high: Math.max(group.high, high) });
      group.layers.push(layer);
      groups.set(key, group);
    }
  });
  for (const { mode, low, high, layers } of groups.values()) {
    const scale = scaleOf(mode, low, high);
    for (const layer of layers) layer.scale = scale;
  }
}
