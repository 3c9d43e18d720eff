// One legend for the label maps of all panels, in place of one below each.
import { Legend } from "./legend.js";

export class SharedLegend {
  /** `root` is empty and hidden until a panel that has no legend of its own is loaded. */
  constructor(root, store) {
    Object.assign(this, { root, store, maps: "" });
  }

  /** Lists the classes of all panels without a legend of their own; called at every drawing. */
  update(panels, hidden) {
    const layers = panels.filter((panel) => panel.loaded && panel.config.legend === false)
      .flatMap((panel) => panel.layers.filter((layer) => layer.isLabels));
    const sources = new Map(layers.map((layer) => [layer.config.map, layer])); // a swipe panel repeats maps
    const maps = [...sources.keys()].join();
    if (maps !== this.maps) {
      this.maps = maps;
      this.root.hidden = !sources.size;
      this.legend = sources.size ? new Legend(this.root, [...sources.values()], this.store) : null;
    }
    this.legend?.show(hidden);
  }
}
