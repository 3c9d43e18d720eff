// The controls above the pictures; controls that affect no panel are hidden.
import { CHOICES } from "./settings.js";

export class Toolbar {
  /**
   * Calls `set(name, value)` when the reader changes a setting, and `zoom(step)` with "in", "out", "fit" or "actual".
   */
  constructor(root, { set, zoom }, signal) {
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
    this.more = root.querySelector(".more");
    listen(this.more, "click", () => this.more.setAttribute("aria-expanded", String(root.classList.toggle("open"))));
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
  }
}
