// The controls above the pictures, in one row that stays in sight. Controls that affect no panel are hidden; the display
// settings are folded where the row has no room for them.
import { CHOICES } from "./settings.js";

const INAPPLICABLE = {
  log: "Not here: these values can be negative, and only positive numbers have a logarithm",
  percentile: "Not here: samples are drawn one by one, so none is cut off",
};
let isOpen = false; // whether folded settings are shown: module state, so that it survives a change of page

export class Toolbar {
  /**
   * Calls `set(name, value)` when the reader changes a setting, `zoom(step)` with "in", "out", "fit" or "actual", and
   * `opened()` when folded settings have been opened.
   */
  constructor(root, { set, zoom, opened }, signal) {
    this.root = root;
    const listen = (control, event, action) => control.addEventListener(event, action, { signal });
    this.controls = [...root.querySelectorAll("[data-setting]")];
    for (const control of this.controls) {
      const name = control.dataset.setting;
      listen(control, "input", () => {
        if (control.type === "checkbox") set(name, control.checked);
        else set(name, name in CHOICES ? control.value : Number(control.value));
      });
    }
    for (const button of root.querySelectorAll("[data-zoom]")) listen(button, "click", () => zoom(button.dataset.zoom));
    [this.more, this.where] = ["more", "where"].map((name) => root.querySelector(`.${name}`));
    listen(this.more, "click", () => {
      this.open(!isOpen);
      if (isOpen) opened();
    });
    this.open(isOpen);
    const resize = new ResizeObserver(() => this.fit());
    resize.observe(root);
    signal.addEventListener("abort", () => resize.disconnect());
    document.fonts.ready.then(() => this.fit());
  }

  open(open) {
    isOpen = open;
    this.root.classList.toggle("open", open);
    this.more.setAttribute("aria-expanded", String(open));
  }

  /** Folds the display settings if the row is too narrow for them. */
  fit() {
    const { root, where } = this;
    root.classList.remove("folded");
    const end = where.getBoundingClientRect().right + Number.parseFloat(getComputedStyle(where).marginRight);
    root.classList.toggle("folded", end > root.getBoundingClientRect().right + 0.5);
  }

  /** Updates the controls to the settings. */
  show(settings) {
    for (const control of this.controls) {
      const value = settings[control.dataset.setting];
      if (control.type === "radio") control.checked = control.value === value;
      else if (control.type === "checkbox") control.checked = value;
      else control.value = value;
    }
  }

  /** Disables the scales that no map can have, and says why; a map that is still to come may have any. */
  disableScales(layers, pending) {
    for (const control of this.controls.filter((one) => one.dataset.setting === "scale")) {
      const label = control.parentElement, kind = control.value;
      label.dataset.title ??= label.title;
      control.disabled = kind in INAPPLICABLE && layers.length > 0 && !pending && !layers.some((layer) => layer.applies(kind));
      label.title = control.disabled ? INAPPLICABLE[kind] : label.dataset.title;
      control.title = label.title; // read aloud
    }
  }

  /** Hides the controls that no panel uses. */
  hideUnused(panels) {
    const some = (test) => panels.some((panel) => panel.layers.some(test)), pending = some((layer) => layer.isPending);
    const weights = some((layer) => layer.isPending && layer.config.stats); // will follow
    const uses = {
      maps: pending || some((layer) => layer.isMap),
      scales: pending || some((layer) => layer.isMap && !layer.isShares),
      weights: weights || some((layer) => layer.isWeights),
      labels: some((layer) => layer.isLabels),
      either: weights || some((layer) => layer.config.look === "either"),
      drawn: pending || some((layer) => layer.isMap || layer.isLabels),
    };
    for (const part of this.root.querySelectorAll("[data-for]")) part.hidden = !uses[part.dataset.for];
    this.disableScales(panels.flatMap((panel) => panel.layers).filter((layer) => layer.isMap && !layer.isShares), pending);
    this.fit();
  }
}
