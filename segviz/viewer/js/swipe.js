// The divider of a swipe panel: one map to its left, the other to its right.
import { element } from "./dom.js";

const MOVES = { ArrowLeft: -0.01, ArrowDown: -0.01, ArrowRight: 0.01, ArrowUp: 0.01, PageDown: -0.1, PageUp: 0.1 };

/** A slider in the sense of ARIA; where it stands is a property of the stage, `--split`, for the style sheet. */
export class Divider {
  constructor(stage, [left, right]) {
    Object.assign(this, { stage, left, right });
    this.handle = element("div", "divider");
    for (const [name, value] of Object.entries({
      role: "slider", tabindex: "0", "aria-label": `Divider: ${left} to its left, ${right} to its right`,
      "aria-orientation": "horizontal", "aria-valuemin": "0", "aria-valuemax": "100",
    })) this.handle.setAttribute(name, value);
    this.names = [element("span", "name first", left), element("span", "name second", right)];
    stage.append(...this.names, this.handle);
    const on = (name, action) => this.handle.addEventListener(name, action);
    on("pointerdown", (event) => this.grasp(event));
    on("pointermove", (event) => {
      if (this.handle.hasPointerCapture(event.pointerId)) this.follow(event);
    });
    for (const name of ["pointerdown", "pointermove", "pointerup", "click"]) on(name, (event) => event.stopPropagation());
    on("keydown", (event) => this.key(event));
    this.place(0.5);
  }

  grasp(event) {
    if (event.button !== 0) return;
    event.preventDefault(); // no drag of the picture; it would also keep the focus away
    this.handle.focus();
    this.handle.setPointerCapture(event.pointerId);
    this.follow(event);
  }

  follow(event) {
    const box = this.stage.getBoundingClientRect();
    this.place((event.clientX - box.left) / box.width);
  }

  key(event) {
    if (event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === "Home") this.place(0);
    else if (event.key === "End") this.place(1);
    else if (event.key in MOVES) this.place(this.at + MOVES[event.key] * (event.shiftKey ? 10 : 1));
    else return;
    event.preventDefault();
    event.stopPropagation(); // the stage would move its point
  }

  place(at) {
    this.at = Math.round(1000 * Math.max(0, Math.min(1, at))) / 1000;
    const share = Math.round(100 * this.at);
    this.stage.style.setProperty("--split", this.at);
    this.handle.setAttribute("aria-valuenow", String(share));
    this.handle.setAttribute("aria-valuetext", `${share} % ${this.left}, ${100 - share} % ${this.right}`);
  }
}
