// Draws panels together: first all maps are computed, then all scales set, then all panels painted.
import { makeScale } from "./colour.js";

/**
 * Draws panels for a point; `state` is shared by all panels, `pointer` is an image pixel or null. A panel that throws
 * shows its error, and the others are still drawn.
 */
export function drawPanels(panels, { point, pointer, state }) {
  const safely = (action) => (panel) => {
    try {
      if (panel.loaded) action(panel);
    } catch (error) {
      panel.showError(error);
    }
  };
  panels.forEach(safely((panel) => panel.compute(point, state.settings)));
  setScales(panels.filter((panel) => panel.loaded), state.settings);
  panels.forEach(safely((panel) => {
    panel.draw(state);
    panel.showPointer(pointer, state.view);
  }));
}

/** Sets each map's scale: one per panel and unit, or one per unit if the range is shared. */
function setScales(panels, settings) {
  const groups = new Map();
  panels.forEach((panel, index) => {
    for (const layer of panel.layers) {
      if (layer.isShares) layer.scale = makeScale("linear", 0, 1);
      if (!layer.isMap || layer.isShares) continue;
      const mode = layer.kind = layer.scaleKind(settings);
      const isAlone = settings.range !== "shared" || layer.isAway; // a hidden map counts for no other's range
      const key = `${layer.unit} ${isAlone ? index : ""}`, [low, high] = layer.scaleLimits(mode);
      const group = groups.get(key) ?? { mode, low, high, layers: [] };
      if (mode !== "linear" && group.mode !== "log") group.mode = mode; // a log scale spans any other
      Object.assign(group, { low: Math.min(group.low, low), high: Math.max(group.high, high) });
      group.layers.push(layer);
      groups.set(key, group);
    }
  });
  for (const { mode, low, high, layers } of groups.values()) {
    const scale = makeScale(mode, low, high);
    for (const layer of layers) layer.scale = scale;
  }
}
