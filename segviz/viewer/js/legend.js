// The classes below a label map: a button for each, one beside it that leaves it alone, and one for all of them.
import { button, element } from "./dom.js";

/** The legend is one stop of the Tab key; arrow keys, Home and End move inside it. */
export class Legend {
  /** `layers` are the panel's label maps; what is hidden is hidden in the whole viewer, by `preferences`. */
  constructor(root, layers, preferences) {
    Object.assign(this, { root, preferences });
    this.names = [...new Set(layers.flatMap(({ config }) => config.classes))];
    const present = entriesOf(layers);
    this.entries = present.map((entry) => this.entry(entry));
    this.everything = button("everything", "Show all", "Show all classes");
    this.everything.addEventListener("click", () => {
      preferences.all();
      this.buttons[0]?.focus(); // this button goes away
    });
    root.replaceChildren(...this.entries.map(({ item }) => item), this.everything);
    root.addEventListener("keydown", (event) => this.key(event));
    root.addEventListener("focusin", (event) => this.rove(event.target));
    this.rove(this.buttons[0]);
  }

  entry({ name, colour, areas }) {
    const swatch = element("i", ""), area = areas.map(percent).join(" · ");
    swatch.style.background = `rgb(${colour.join()})`;
    const toggle = button("toggle", ""), only = button("only", "only", `Only ${name}`);
    toggle.title = "Hide or show this class in all panels";
    toggle.append(swatch, element("span", "", name), element("small", "", `${area} %`));
    toggle.addEventListener("click", (event) => {
      if (event.altKey) this.preferences.only(name, this.names);
      else this.preferences.toggle(name);
    });
    only.title = "Only this class, in all panels";
    only.addEventListener("click", () => this.preferences.only(name, this.names));
    return { item: element("span", "entry", toggle, only), toggle, only, name };
  }

  /** Shows which classes are hidden. */
  show(hidden) {
    for (const { toggle, only, name } of this.entries) {
      toggle.setAttribute("aria-pressed", String(!hidden.has(name)));
      only.setAttribute("aria-pressed", String(isAlone(name, this.names, hidden)));
    }
    this.everything.hidden = !this.names.some((name) => hidden.has(name));
  }

  get buttons() {
    return [...this.root.querySelectorAll("button:not([hidden])")];
  }

  key(event) {
    const { buttons } = this, at = buttons.indexOf(event.target);
    const steps = { ArrowRight: at + 1, ArrowDown: at + 2, ArrowLeft: at - 1, ArrowUp: at - 2, Home: 0, End: buttons.length - 1 };
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(buttons.length - 1, steps[event.key]))].focus();
  }

  rove(current) {
    for (const one of this.root.querySelectorAll("button")) one.tabIndex = one === current ? 0 : -1;
  }
}

function percent(share) {
  return share > 0 && share < 0.0005 ? "<0.1" : (100 * share).toFixed(1); // 0.0 is for what is not there
}

/** Whether every other class of the same set is hidden. */
export function isAlone(name, names, hidden) {
  return !hidden.has(name) && names.every((other) => other === name || hidden.has(other));
}

/** Every class that is in one of the maps, with its share of each map: the largest first, but levels in their order. */
function entriesOf(layers) {
  const entries = new Map();
  layers.forEach(({ config, counts, factors }, index) => {
    config.classes.forEach((name, label) => {
      if (!counts[label]) return;
      if (!entries.has(name)) entries.set(name, { name, colour: config.palette[label], areas: layers.map(() => 0) });
      entries.get(name).areas[index] += counts[label] / factors.labels.length;
    });
  });
  if (layers.every(({ config }) => config.levels)) return [...entries.values()];
  return [...entries.values()].sort((a, b) => Math.max(...b.areas) - Math.max(...a.areas));
}
