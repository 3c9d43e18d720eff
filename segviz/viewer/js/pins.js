// The pinned points: markers on the pictures, the list below them, and the agreement with Python.
import { inkOn } from "./colour.js";
import { button, element } from "./dom.js";

/**
 * Python's pins are the truth on mount; after that every edit is echoed here at once and sent with a number.
 * What Python sends back carries the number of the last edit that it knew, so an answer that is older than
 * the newest edit is recognised, and does not undo it.
 */
export class Pins {
  /** `changed` is called after every change, `look(pixel or null)` when a listed pin is pointed at. */
  constructor(list, { changed, look, say }) {
    Object.assign(this, { list, changed, look, say, pins: [], seq: 0, mount: crypto.getRandomValues(new Uint32Array(2)).join("-") });
  }

  /** Python's word. `send` hands an edit to Python. */
  adopt({ pins, echo, colours, maxPins }, send) {
    Object.assign(this, { colours, maxPins, send });
    const known = echo?.mount === this.mount ? echo.seq : 0;
    if (known < this.seq) return;
    this.pins = pins.map(([y, x, colour]) => ({ y, x, colour }));
    this.show();
  }

  get last() {
    return this.pins.at(-1) ?? null;
  }

  add([y, x]) {
    if (this.pins.some((pin) => pin.y === y && pin.x === x)) return this.say(`y ${y}, x ${x} is pinned already.`);
    if (this.pins.length >= this.maxPins) return this.say(`All ${this.maxPins} pins are set. Remove one first.`);
    const taken = new Set(this.pins.map((pin) => pin.colour));
    const colour = Math.max(0, this.colours.findIndex((_, index) => !taken.has(index)));
    this.edit([...this.pins, { y, x, colour }], `Pin ${this.pins.length + 1} set at y ${y}, x ${x}.`);
  }

  remove(pin) {
    const number = this.pins.indexOf(pin) + 1;
    if (number) this.edit(this.pins.filter((other) => other !== pin), `Pin ${number} removed.`);
  }

  /** The pin with the least distance to a pixel, or null. */
  nearest([y, x]) {
    const distance = (pin) => Math.hypot(pin.y - y, pin.x - x);
    return this.pins.reduce((best, pin) => (!best || distance(pin) < distance(best) ? pin : best), null);
  }

  edit(pins, message) {
    this.pins = pins;
    this.seq += 1;
    this.show();
    this.say(message);
    this.send({ mount: this.mount, seq: this.seq, pins: pins.map(({ y, x, colour }) => [y, x, colour]) });
  }

  show() {
    this.list.replaceChildren(...this.pins.map((pin, index) => this.entry(pin, index)));
    if (this.pins.length > 1) {
      const clear = button("clear", "Remove all", "Remove all pins");
      clear.addEventListener("click", () => this.edit([], "All pins removed."));
      this.list.append(element("li", "", clear));
    }
    this.changed();
  }

  /** A line of the list: pointing at it shows what the pin sees. */
  entry(pin, index) {
    const go = button("go", "", `Show pin ${index + 1}, y ${pin.y}, x ${pin.x}`);
    go.append(element("b", "badge", String(index + 1)), `y ${pin.y}  x ${pin.x}`);
    for (const event of ["pointerenter", "focus"]) go.addEventListener(event, () => this.look([pin.y, pin.x]));
    for (const event of ["pointerleave", "blur"]) go.addEventListener(event, () => this.look(null));
    const drop = button("drop", "×", `Remove pin ${index + 1}`);
    drop.addEventListener("click", () => this.remove(pin));
    const item = element("li", "", go, drop);
    dye(item, this.colours[pin.colour]);
    return item;
  }

  /** Markers for one picture, and where each belongs; a click on one removes its pin. */
  markers() {
    return this.pins.map((pin, index) => {
      const marker = button("marker", "", `Remove pin ${index + 1}`);
      marker.tabIndex = -1; // the list below is the keyboard's way
      marker.append(element("b", "", String(index + 1)));
      dye(marker, this.colours[pin.colour]);
      marker.pin = pin;
      marker.addEventListener("click", (event) => {
        event.stopPropagation(); // else the stage pins the place again
        this.remove(pin);
      });
      return marker;
    });
  }
}

/** A pin's colour, and the one to write upon it. */
export function dye(element, colour) {
  element.style.setProperty("--pin", colour);
  element.style.setProperty("--ink", inkOn(colour));
}
