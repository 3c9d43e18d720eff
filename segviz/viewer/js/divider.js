// The divider of a swipe panel, with one map on its left and another on its right.
import { createElement } from "./dom.js";

const MOVES = { ArrowLeft: -0.01, ArrowDown: -0.01, ArrowRight: 0.01, ArrowUp: 0.01, PageDown: -0.1, PageUp: 0.1 };

/** An ARIA slider; its position is the CSS property `--split` of the stage. */
export class Divider {
  constructor(stage, [left, right]) {
    Object.assign(this, { stage, left, right });
    this.handle = createElement("div", "divider");
    for (const [name, value] of Object.entries({
      role: "slider", tabindex: "0", "aria-label": `Divider: ${left} on the left, ${right} on the right`,
      "aria-orientation": "horizontal", "aria-valuemin": "0", "aria-valuemax": "100",
    })) this.handle.setAttribute(name, value);
    this.names = [createElement("span", "name first", left), createElement("span", "name second", right)];
    stage.append(...this.names, this.handle);
    const on = (name, action) => this.handle.addEventListener(name, action);
    on("pointerdown", (event) => this.grab(event));
    on("pointermove", (event) => {
      if (this.handle.hasPointerCapture(event.pointerId)) this.moveToPointer(event);
    });
    for (const name of ["pointerdown", "pointermove", "pointerup", "click"]) on(name, (event) => event.stopPropagation());
    on("keydown", (event) => this.moveByKey(event));
    this.moveTo(0.5);
  }

  grab(event) {
    if (event.button !== 0) return;
    event.preventDefault(); // prevents dragging the image, which would also take the focus
    this.handle.focus();
    this.handle.setPointerCapture(event.pointerId);
    this.moveToPointer(event);
  }

  moveToPointer(event) {
    const box = this.stage.getBoundingClientRect();
    this.moveTo((event.clientX - box.left) / box.width);
  }

  moveByKey(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Home") this.moveTo(0);
    else if (event.key === "End") this.moveTo(1);
    else if (event.key in MOVES) this.moveTo(this.at + MOVES[event.key] * (event.shiftKey ? 10 : 1));
    else return;
    event.preventDefault();
    event.stopPropagation(); // or the stage would move the point
  }

  /** Moves to a fraction of the stage's width. */
  moveTo(at) {
    this.at = Math.round(1000 * Math.max(0, Math.min(1, at))) / 1000;
    const share = Math.round(100 * this.at);
    this.stage.style.setProperty("--split", this.at);
    this.handle.setAttribute("aria-valuenow", String(share));
    this.handle.setAttribute("aria-valuetext", `${share} % ${this.left}, ${100 - share} % ${this.right}`);
  }
}
