// The classes below a label map: buttons that hide a class, show only that class, or show all.
import { createButton, createElement } from "./dom.js";

/** The legend is one tab stop; arrow keys, Home and End move inside it. */
export class Legend {
  /** `layers` are the panel's label maps; `store` hides a class in all panels. */
  constructor(root, layers, store) {
    Object.assign(this, { root, store });
    this.names = [...new Set(layers.flatMap(({ config }) => config.classes))];
    this.entries = listClasses(layers).map((entry) => this.createEntry(entry));
    this.everything = createButton("everything", "Show all", "Show all classes");
    this.everything.addEventListener("click", () => {
      store.showAllClasses();
      this.buttons[0]?.focus(); // this button disappears
    });
    root.replaceChildren(...this.entries.map(({ item }) => item), this.everything);
    root.addEventListener("keydown", (event) => this.moveFocus(event));
    root.addEventListener("focusin", (event) => this.setTabStop(event.target));
    this.setTabStop(this.buttons[0]);
  }

  createEntry({ name, colour, areas, owner }) {
    const swatch = createElement("i", "");
    swatch.style.background = `rgb(${colour.join()})`;
    const toggle = createButton("toggle", ""), only = createButton("only", "only", `Only ${name}`);
    toggle.title = "Hide or show this class in all panels";
    toggle.append(swatch, createElement("span", "", name), createElement("small", "", `${formatAreas(areas)} %${owner ? ` ${owner}` : ""}`));
    toggle.addEventListener("click", (event) => {
      if (event.altKey) this.store.showOnly(name, this.names);
      else this.store.toggleClass(name);
    });
    only.title = "Show only this class in all panels";
    only.addEventListener("click", () => this.store.showOnly(name, this.names));
    return { item: createElement("span", "entry", toggle, only), toggle, only, name };
  }

  /** Updates the buttons to the hidden classes. */
  show(hidden) {
    for (const { toggle, only, name } of this.entries) {
      toggle.setAttribute("aria-pressed", String(!hidden.has(name)));
      only.setAttribute("aria-pressed", String(isOnlyVisible(name, this.names, hidden)));
    }
    this.everything.hidden = !this.names.some((name) => hidden.has(name));
  }

  get buttons() {
    return [...this.root.querySelectorAll("button:not([hidden])")];
  }

  moveFocus(event) {
    const { buttons } = this, at = buttons.indexOf(event.target);
    const steps = { ArrowRight: at + 1, ArrowDown: at + 2, ArrowLeft: at - 1, ArrowUp: at - 2, Home: 0, End: buttons.length - 1 };
    if (at < 0 || !(event.key in steps)) return;
    event.preventDefault();
    buttons[Math.max(0, Math.min(buttons.length - 1, steps[event.key]))].focus();
  }

  setTabStop(current) {
    for (const button of this.root.querySelectorAll("button")) button.tabIndex = button === current ? 0 : -1;
  }
}

/** The share in one map or on both sides of a divider; the range over more maps. */
export function formatAreas(areas) {
  if (areas.length <= 2) return areas.map(formatArea).join(" · ");
  return [...new Set([Math.min(...areas), Math.max(...areas)].map(formatArea))].join("–");
}

function areaIn({ config, counts, factors }, name) {
  return config.classes.reduce((sum, one, label) => sum + (one === name ? counts[label] ?? 0 : 0), 0) / factors.labels.length;
}

function formatArea(share) {
  return share > 0 && share < 0.0005 ? "<0.1" : (100 * share).toFixed(1); // 0.0 would mean absent
}

/** Whether every other class of the same set is hidden. */
export function isOnlyVisible(name, names, hidden) {
  return !hidden.has(name) && names.every((other) => other === name || hidden.has(other));
}

/**
 * The classes present in any of the maps: largest first, but levels in their own order. `areas` has a class's share of each
 * map that could have it: models may have different classes. `owner` is the title of the only one of several that knows it.
 */
export function listClasses(layers) {
  const entries = new Map();
  for (const { config, counts } of layers) {
    config.classes.forEach((name, label) => {
      if (!counts[label] || entries.has(name)) return;
      const able = layers.filter((layer) => layer.config.classes.includes(name));
      const owner = able.length === 1 && layers.length > 1 ? able[0].config.title : "";
      entries.set(name, { name, colour: config.palette[label], areas: able.map((layer) => areaIn(layer, name)), owner });
    });
  }
  if (layers.every(({ config }) => config.levels)) return [...entries.values()];
  return [...entries.values()].sort((a, b) => Math.max(...b.areas) - Math.max(...a.areas));
}
