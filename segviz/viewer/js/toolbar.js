// The controls above the pictures. Only those are shown that act on some panel.
import { CHOICES } from "./settings.js";

export class Toolbar {
  /** `set(name, value)` is called when a reader changes a setting; `zoom(how)` with "in", "out", "fit" or "full". */
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

  /** Sets the controls to the settings. */
  show(settings) {
    for (const control of this.controls) {
      const value = settings[control.dataset.setting];
      if (control.type === "radio") control.checked = control.value === value;
      else if (control.type === "checkbox") control.checked = value;
      else control.value = value;
    }
  }

  /** Leaves out what no panel has a use for. */
  fit(panels) {
    const some = (test) => panels.some((panel) => panel.layers.some(test)), awaited = some((layer) => layer.awaited);
    const uses = {
      maps: awaited || some((layer) => layer.isMap),
      scales: awaited || some((layer) => layer.isMap && !layer.isShares),
      weights: awaited || some((layer) => layer.isWeights),
      labels: some((layer) => layer.isLabels),
      either: awaited || some((layer) => layer.config.look === "either"),
      drawn: awaited || some((layer) => layer.isMap || layer.isLabels),
    };
    for (const part of this.root.querySelectorAll("[data-for]")) part.hidden = !uses[part.dataset.for];
  }
}
