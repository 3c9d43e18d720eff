// The pins: clicks on their markers, their list at the bottom, and the exchange with Python.
import { inkOn } from "./colour.js";
import { createButton, createElement } from "./dom.js";

/**
 * On mount, Python's pins apply. After that, every edit is shown at once and sent to Python with a number. Python's
 * answer carries the number of the last edit that it has seen, so an answer older than the newest edit is ignored.
 */
export class Pins {
  /**
   * `onChange` is called after every change, `preview(pixel or null)` when the pointer or focus enters or leaves a
   * listed pin, and `announce(text)` with each result.
   */
  constructor(list, { onChange, preview, announce }) {
    const mount = crypto.getRandomValues(new Uint32Array(2)).join("-"); // tells this viewer's edits from older ones
    Object.assign(this, { list, onChange, preview, announce, pins: [], seq: 0, version: 0, choices: 0, mount });
  }

  /**
   * Takes Python's pins unless a newer edit is on its way. `send` passes an edit to Python. `chosen` is the number of
   * the pin that a page computes something for; null on other pages. `sendChoice` passes the reader's choice.
   */
  update({ pins, echo, colours, maxPins, chosen = null }, send, sendChoice) {
    Object.assign(this, { colours, maxPins, send, sendChoice, chosen });
    this.markChosen();
    const known = echo?.mount === this.mount ? echo.seq : 0;
    if (known < this.seq) return;
    const stays = pins.length === this.pins.length && pins.every(([y, x, colour], index) => {
      const pin = this.pins[index];
      return pin.y === y && pin.x === x && pin.colour === colour;
    });
    if (stays && this.version) return; // a press on an entry or a marker may be under way
    this.pins = pins.map(([y, x, colour]) => ({ y, x, colour }));
    this.show();
  }

  get last() {
    return this.pins.at(-1) ?? null;
  }

  add([y, x]) {
    const isTaken = this.pins.some((pin) => pin.y === y && pin.x === x);
    if (isTaken) return this.announce(`There is already a pin at y ${y}, x ${x}.`);
    if (this.pins.length >= this.maxPins) return this.announce(`All ${this.maxPins} pins are set. Remove one first.`);
    const taken = this.pins.map((pin) => pin.colour);
    const free = [...this.colours.keys()].filter((index) => !taken.includes(index));
    const colour = free.find((index) => index > Math.max(...taken)) ?? free[0] ?? 0; // a removed pin's only if none is left
    const pin = { y, x, colour };
    this.edit([...this.pins, pin], `Pin ${numberOf(pin)} set at y ${y}, x ${x}.`);
  }

  remove(pin) {
    const index = this.pins.indexOf(pin);
    if (index >= 0) this.edit(this.pins.toSpliced(index, 1), `Pin ${numberOf(pin)} removed.`);
  }

  /** The pin nearest to a pixel, or null. */
  nearest([y, x]) {
    const distance = (pin) => Math.hypot(pin.y - y, pin.x - x);
    return this.pins.reduce((best, pin) => (!best || distance(pin) < distance(best) ? pin : best), null);
  }

  edit(pins, message) {
    this.pins = pins;
    this.seq += 1;
    this.show();
    this.announce(message);
    this.send({ mount: this.mount, seq: this.seq, pins: pins.map(({ y, x, colour }) => [y, x, colour]) });
  }

  show() {
    const { list } = this, added = this.pins.length > list.querySelectorAll(".go").length, at = list.scrollLeft;
    this.version += 1;
    this.list.replaceChildren(...this.pins.map((pin, index) => this.createEntry(pin, index)));
    if (this.pins.length > 1) {
      const clear = createButton("clear", "Remove all", "Remove all pins");
      clear.addEventListener("click", () => this.edit([], "All pins removed."));
      this.list.append(createElement("li", "", clear));
    }
    list.scrollLeft = added ? list.scrollWidth : at; // on a phone, the list is one line
    this.markChosen();
    this.onChange();
  }

  /** Marks the chosen pin's entry. */
  markChosen() {
    this.list.querySelectorAll(".go").forEach((go, index) => {
      if (this.chosen === null) go.removeAttribute("aria-pressed");
      else go.setAttribute("aria-pressed", String(index === this.chosen));
    });
  }

  /** Makes a pin the one that the page computes something for. */
  choose(pin, index) {
    if (this.chosen === null || this.chosen === index) return;
    this.chosen = index;
    this.markChosen();
    this.choices += 1;
    this.sendChoice({ mount: this.mount, count: this.choices, y: pin.y, x: pin.x });
    this.announce(`Pin ${numberOf(pin)} chosen.`);
  }

  /** An item of the list; pointing at it shows the maps of its pin. */
  createEntry(pin, index) {
    const number = numberOf(pin), go = createButton("go", "", `Show pin ${number}, y ${pin.y}, x ${pin.x}`);
    go.append(createElement("b", "badge", String(number)), `y ${pin.y}  x ${pin.x}`);
    for (const event of ["pointerenter", "focus"]) go.addEventListener(event, () => this.preview([pin.y, pin.x]));
    for (const event of ["pointerleave", "blur"]) go.addEventListener(event, () => this.preview(null));
    go.addEventListener("click", () => this.choose(pin, index));
    const remove = createButton("remove", "×", `Remove pin ${number}`);
    remove.addEventListener("click", () => this.remove(pin));
    const item = createElement("li", "", go, remove);
    setPinColour(item, this.colours[pin.colour]);
    return item;
  }

  /** Says which pins do not pass a test of whether they are shown, and what shows them; "" if all are. */
  outsideText(isShown) {
    const numbers = this.pins.filter((pin) => !isShown(pin)).map(numberOf).sort((a, b) => a - b);
    if (!numbers.length) return "";
    const last = numbers.pop(), one = numbers.length === 0;
    const named = one ? `Pin ${last} lies` : `Pins ${numbers.join(", ")} and ${last} lie`;
    return `${named} outside this part. Fit the whole picture`;
  }

  /** Creates the markers for one picture; gestures.js has their clicks, which remove the pins. */
  createMarkers() {
    return this.pins.map((pin) => {
      const marker = createButton("marker", "", `Remove pin ${numberOf(pin)}`);
      marker.tabIndex = -1; // the keyboard uses the list
      marker.append(createElement("b", "", String(numberOf(pin))));
      setPinColour(marker, this.colours[pin.colour]);
      marker.pin = pin;
      return marker;
    });
  }
}

/** A pin's number for readers: it goes with the colour, so it stays while other pins come and go; `Pin.number` in Python. */
export const numberOf = ({ colour }) => colour + 1;

/** Sets a pin's colour and the text colour that is readable on it. */
export function setPinColour(element, colour) {
  element.style.setProperty("--pin", colour);
  element.style.setProperty("--ink", inkOn(colour));
}
