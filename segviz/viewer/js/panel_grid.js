// The panels of the viewer: created from Python's descriptions, and kept while those stay the same.
import { MissingBlobError, fetchFactors } from "./fetch_factors.js";
import { Panel } from "./panel.js";

export class PanelGrid {
  /**
   * `root` contains the panels, which are made from `templates`. `redraw()` is called when panels need drawing, and
   * `requestBlobs(count)` when the server has lost maps or the picture; `count` is how many panels have failed so far.
   */
  constructor(root, templates, { redraw, requestBlobs }) {
    Object.assign(this, { root, templates, redraw, requestBlobs, panels: [], byStage: new Map(), created: 0 });
    this.requested = new Set(); // sources of panels whose blobs Python was asked to send again
    this.watchSize();
  }

  /**
   * Applies Python's data. Panels whose data are unchanged stay as they are, and those whose map is the same stay in place
   * with another title, head, pin or point. `store` has the settings.
   */
  update({ picture, height, width, columns, panels }, store) {
    const wide = panels.filter((config) => config.wide).length, narrow = panels.length - wide;
    this.root.style.setProperty("--columns", Math.max(1, Math.min(columns, narrow || 1)));
    this.root.style.setProperty("--wide", Math.max(1, Math.min(2, wide)));
    this.root.classList.toggle("mixed", wide > 0);
    this.root.classList.toggle("heads", panels.every((config) => config.wide || Number.isInteger(config.head)) && wide > 0);
    const reusable = new Map(this.panels.filter((panel) => !panel.failed).map((panel) => [panel.source, panel]));
    const sources = panels.map((config) => JSON.stringify([picture, height, width, config]));
    const unchanged = sources.map((source) => {
      const panel = reusable.get(source);
      reusable.delete(source); // two panels may be equal
      return panel;
    });
    this.panels = panels.map((config, index) => {
      const source = sources[index], panel = unchanged[index], before = this.panels[index];
      if (panel) return panel;
      const content = JSON.stringify([picture, height, width, contentOf(config)]);
      if (before?.content === content && reusable.delete(before.source)) {
        before.describe(config);
        return Object.assign(before, { source });
      }
      return Object.assign(this.createPanel(config, [height, width], picture, source, before, store), { content });
    });
    this.arrange();
  }

  /** Creates a panel in the place of `previous`, and as high until it is loaded, so that nothing jumps. */
  createPanel(config, shape, picture, source, previous, store) {
    const panel = new Panel(config, shape, this.templates, this.created++);
    const { style } = panel.parts.below;
    panel.source = source;
    style.minHeight = previous ? `${previous.parts.below.offsetHeight}px` : "";
    panel.load(picture, fetchFactors, store).then(() => {
      style.minHeight = "";
      if (panel.failed) this.requestAgain(panel.failed, source);
      this.redraw();
    });
    return panel;
  }

  /** Asks Python, once per panel, for blobs that the server has dropped; it can make them again. */
  requestAgain(error, source) {
    if (!(error instanceof MissingBlobError || error.name === "EncodingError") || this.requested.has(source)) return;
    this.requested.add(source);
    clearTimeout(this.requesting);
    this.requesting = setTimeout(() => this.requestBlobs(this.requested.size)); // one request for all
  }

  /**
   * Puts the panels in order, and marks the first map that follows the point: where panels stand one below the other, it
   * goes ahead of what does not answer a point, such as the prediction. Panels that stay are not removed without need:
   * removing a stage would take the keyboard focus away.
   */
  arrange() {
    const roots = this.panels.map((panel) => panel.root), { children } = this.root;
    const [first] = this.panels, mayFollow = (panel) => !panel.config.pin && (panel.has("isPointed") || panel.has("isPending"));
    const following = this.panels.find(mayFollow);
    for (const panel of this.panels) panel.root.classList.toggle("ahead", panel === following && panel !== first);
    for (const child of [...children]) if (!roots.includes(child)) child.remove();
    roots.forEach((root, index) => {
      if (children[index] !== root) this.root.insertBefore(root, children[index] ?? null);
    });
    this.byStage = new Map(this.panels.map((panel) => [panel.parts.stage, panel]));
    for (const observer of [this.resize, this.sight]) {
      observer.disconnect();
      for (const stage of this.byStage.keys()) observer.observe(stage);
    }
  }

  /** Keeps every panel informed of its size and of whether it is in sight. */
  watchSize() {
    this.resize = new ResizeObserver((entries) => {
      for (const { target, contentRect } of entries) this.byStage.get(target)?.resize(contentRect);
      this.redraw();
    });
    this.sight = new IntersectionObserver((entries) => {
      for (const { target, isIntersecting } of entries) {
        const panel = this.byStage.get(target);
        if (panel) panel.inSight = isIntersecting;
      }
      this.redraw();
    });
  }

  destroy() {
    this.resize.disconnect();
    this.sight.disconnect();
    clearTimeout(this.requesting);
  }
}

/** What a panel shows, without its texts, its pin, its place, its head and its start. */
const contentOf = ({ title, note, at, pin, head, start, worth, ...content }) => content;
