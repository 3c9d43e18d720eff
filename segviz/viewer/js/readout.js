// The lines below a picture about one map: colour bar, value under the pointer, statistics and strongest cells.
import { asideText } from "./aside.js";
import { isOutside } from "./cells.js";
import { choicesAt } from "./choices.js";
import { createButton, createElement, setText, slideMark } from "./dom.js";
import { formatEnds, formatNumber, formatWeight } from "./numbers.js";
import { LETTERS, entropyBits, meanDistance } from "./statistics.js";

const NO_STATISTICS = "No entropy or distance: weights of both signs are not a distribution";

export class Readout {
  /** `side` is the map's name in a swipe panel, and empty elsewhere. */
  constructor(root, layer, side) {
    Object.assign(this, { root, layer, side });
    const find = (name) => root.querySelector(`.${name}`);
    this.parts = Object.fromEntries(["scale", "bar", "even", "needle", "low", "high", "kind", "value", "aside", "most", "figures", "strongest"]
      .map((name) => [name, find(name)]));
    root.classList.toggle("pending", layer.isPending);
    this.parts.scale.hidden = !layer.isMap && !layer.isPending;
    this.parts.value.hidden = layer.look === "plain" && !layer.isPending;
    const { stats } = layer.config; // a picture that waits for a map without statistics waits for no weights
    this.parts.most.hidden = !(layer.isWeights || (layer.isPending && stats));
    this.parts.figures.hidden = !(stats && (layer.isWeights || layer.isPending));
  }

  /** Offers the scale that shows what one cell hides; `show` switches to it. */
  offerRest(show) {
    const { most } = this.parts;
    this.words = createElement("span", "");
    this.rest = createButton("rest", "show the rest");
    this.rest.addEventListener("click", show);
    most.replaceChildren(this.words, this.rest);
  }

  /** Says what the largest weight is; where it hides the others, offers the scale that shows them. */
  showLargest() {
    const { layer } = this;
    if (this.parts.most.hidden || !layer.isWeights) return;
    const { cell, isPeaked } = layer.largestWeight(), weight = formatWeight(layer.top); // as on the bar
    const times = `${formatNumber(layer.top / layer.evenShare)} × the even share`;
    this.crest = isPeaked ? { cell, text: weight } : null;
    this.rest.hidden = !isPeaked || !layer.applies("percentile") || layer.kind === "percentile";
    if (!isPeaked) setText(this.words, `largest ${weight}, ${times}`);
    else if (!this.rest.hidden) setText(this.words, `${weight} lies in one cell: `);
    else setText(this.words, `${weight} lies in one ${layer.samples ? "sample" : "cell"}, ${times}`);
  }

  /** Updates the colour bar to the map's scale. */
  showScale() {
    const { bar, low, high, even, kind } = this.parts, { layer } = this, { scale } = layer;
    this.root.classList.toggle("cut", layer.kind !== "linear"); // makes room for ends such as "≤ 1.2 %"
    setText(kind, scale.logarithmic ? "log" : layer.kind === "percentile" ? "percentile" : "");
    const format = layer.isWeights ? formatWeight : layer.isShares ? (share) => String(share) : formatNumber;
    const [lowText, highText] = formatEnds(scale.low, scale.high, format);
    const below = layer.low < scale.low, above = layer.top > scale.high;
    setText(low, below ? `≤ ${lowText}` : lowText); // as in figures, only where a smaller value has the colour
    setText(high, above ? `≥ ${highText}` : highText);
    bar.classList.toggle("signed", Boolean(scale.signed));
    bar.classList.toggle("cut-low", below && !scale.logarithmic);
    bar.classList.toggle("cut-high", above);
    even.hidden = !layer.isWeights || !(scale.position(layer.evenShare) <= 1 && scale.position(layer.evenShare) >= 0);
    slideMark(even, scale.position(layer.evenShare));
  }

  /** Shows entropy and mean distance if the panel wants them. */
  showStatistics() {
    const { layer } = this;
    if (this.parts.figures.hidden || this.shownVersion === layer.version) return;
    this.shownVersion = layer.version;
    const { factors, look, row, column, values, grids, centre, height, width } = layer;
    const { weights, count } = choicesAt(factors, look, row, column, values);
    const bits = entropyBits(weights), distance = meanDistance(grids.values, values, ...centre, height, width);
    const most = Math.log2(count);
    setText(this.parts.figures, Number.isNaN(bits) ? NO_STATISTICS :
      `Entropy ${bits.toFixed(2)} of ${most.toFixed(2)} bits · mean distance ${(100 * distance).toFixed(1)} %`);
  }

  /** Hides the numbers of a map while the point lies outside its crop. */
  showAway() {
    this.root.classList.toggle("away", this.layer.isAway);
  }

  /** Says how much weight is off the picture, and which object queries look at the point. */
  showAside() {
    const { layer } = this, { aside } = this.parts;
    aside.hidden = !layer.looking && !(layer.factors?.off && !["attended_by", "points"].includes(layer.config.look));
    if (!aside.hidden) setText(aside, asideText(layer));
  }

  /** Lists the strongest cells by the letters of their boxes, with their weights; hides the list if `cells` is null. */
  showStrongest(cells) {
    const list = this.parts.strongest;
    list.hidden = !cells;
    if (!cells) return;
    const format = this.layer.isWeights ? formatWeight : formatNumber;
    const entries = cells.map((cell, rank) => `${LETTERS[rank]}: ${format(this.layer.values[cell])}`);
    const text = entries.map((entry) => entry.replaceAll(" ", "\u00a0")).join("  "); // no line breaks inside an entry
    setText(list, text ? `Strongest cells away from the point: ${text}` : "No weight away from the point");
  }

  /** The value and the strongest cells as text, for screen readers. */
  text() {
    const { value, aside, strongest } = this.parts;
    return [value, ...[aside, strongest].filter((part) => !part.hidden)].map((part) => part.textContent).join(". ");
  }

  /** Shows the value at an image pixel, as text and as the needle on the bar. */
  showValue(pixel) {
    const { layer } = this, { value, needle } = this.parts;
    if (layer.look === "plain") return;
    if (isOutside(layer.part, pixel)) {
      needle.hidden = true;
      setText(value, "outside the crop that the network saw");
      return;
    }
    const index = layer.indexAt(pixel), prefix = this.side && `${this.side}: `;
    if (layer.isLabels) {
      setText(value, prefix + (layer.config.classes[layer.factors.labels[index]] ?? "no class"));
      return;
    }
    const amount = layer.values[index];
    needle.hidden = Boolean(layer.samples);
    slideMark(needle, Math.max(0, Math.min(1, layer.scale.position(amount))));
    if (layer.samples) setText(value, prefix + samplesText(layer.samples));
    else if (layer.isWeights) setText(value, prefix + weightText(amount, layer.evenShare));
    else setText(value, prefix + valueText(amount, layer.config.unit));
  }
}

/** The weight, and its ratio to the even share, which says more. */
function weightText(amount, evenShare) {
  return `${formatWeight(amount)}, ${formatNumber(amount / evenShare)} × the even share`;
}

function valueText(amount, unit) {
  return unit ? `${formatNumber(amount)} ${unit}` : formatNumber(amount);
}

function samplesText(samples) {
  const outside = samples.reduce((sum, sample) => sum + sample.weight * (1 - sample.inside), 0);
  const all = samples.reduce((sum, { weight }) => sum + weight, 0); // 1, but with the largest of several heads
  return `${samples.length} samples, ${formatWeight(outside / all)} of the weight outside`;
}
