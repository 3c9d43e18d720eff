// What stands below a picture about one of its maps: the colour bar, the value under the pointer, and its figures.
import { LETTERS, entropyBits, meanDistance } from "./statistics.js";
import { number, share } from "./colour.js";
import { say, slide } from "./dom.js";

export class Reading {
  /** `side` names the half of the picture that a swipe panel's map fills; it is empty elsewhere. */
  constructor(root, layer, side) {
    Object.assign(this, { root, layer, side });
    const find = (name) => root.querySelector(`.${name}`);
    this.parts = Object.fromEntries(["scale", "bar", "even", "needle", "low", "high", "value", "figures", "strongest"]
      .map((name) => [name, find(name)]));
    root.classList.toggle("awaited", layer.awaited);
    this.parts.scale.hidden = !layer.isMap && !layer.awaited;
    this.parts.value.hidden = layer.look === "plain" && !layer.awaited;
    this.parts.figures.hidden = !(layer.config.stats && layer.isWeights) && !layer.awaited;
  }

  /** The colour bar of the scale that the map is painted on. */
  showScale() {
    const { bar, low, high, even } = this.parts, { layer } = this, { scale } = layer;
    const write = layer.isWeights ? share : layer.isShares ? String : number, below = layer.low < scale.low, above = layer.top > scale.high;
    say(low, scale.logarithmic || below ? `≤ ${write(scale.low)}` : write(scale.low));
    say(high, above ? `≥ ${write(scale.high)}` : write(scale.high));
    bar.classList.toggle("signed", Boolean(scale.signed));
    bar.classList.toggle("cut-low", below && !scale.logarithmic);
    bar.classList.toggle("cut-high", above);
    even.hidden = !layer.isWeights || !(scale.position(layer.evenShare) <= 1 && scale.position(layer.evenShare) >= 0);
    slide(even, scale.position(layer.evenShare));
  }

  /** Entropy and reach of the map, where the panel asks for them. */
  showFigures() {
    const { layer } = this;
    if (this.parts.figures.hidden || this.counted === layer.version) return;
    this.counted = layer.version;
    const { values, factors, row, column, height, width } = layer;
    const bits = entropyBits(values), reach = meanDistance(factors, values, row, column, height, width);
    const most = Math.log2(values.length);
    say(this.parts.figures, Number.isNaN(bits) ? "Entropy and distance: –, as weights of both signs are no distribution" :
      `Entropy ${bits.toFixed(2)} of ${most.toFixed(2)} bits · mean distance ${(100 * reach).toFixed(1)} %`);
  }

  /** The strongest cells by their boxes' letters, with their values; none of them if `cells` is null. */
  showPeaks(cells) {
    const peaks = this.parts.strongest;
    peaks.hidden = !cells;
    if (!cells) return;
    const written = cells.map((cell, index) => `${LETTERS[index]}: ${share(this.layer.values[cell])}`.replaceAll(" ", "\u00a0"));
    say(peaks, written.length ? `Strongest away from the point: ${written.join("  ")}` : "No weight away from the point");
  }

  told() {
    const { value, strongest } = this.parts;
    return strongest.hidden ? value.textContent : `${value.textContent}. ${strongest.textContent}`;
  }

  /** The value at an image pixel, in words and as the needle on the bar. */
  point(pixel) {
    const { layer } = this, { value, needle } = this.parts;
    if (layer.look === "plain") return;
    const here = layer.indexAt(pixel), before = this.side && `${this.side}: `;
    if (layer.isLabels) {
      say(value, before + (layer.config.classes[layer.factors.labels[here]] ?? "no class"));
      return;
    }
    const amount = layer.values[here];
    needle.hidden = Boolean(layer.samples);
    slide(needle, Math.max(0, Math.min(1, layer.scale.position(amount))));
    if (layer.samples) say(value, before + samplesText(layer.samples));
    else say(value, before + (layer.isWeights ? weightText(amount, layer.evenShare) : fieldText(amount, layer.config.unit)));
  }
}

/** "36 × the even share" says more of a weight than "1.3 %" does; both are given. */
function weightText(amount, evenShare) {
  return `${share(amount)}, ${number(amount / evenShare)} × the even share`;
}

function fieldText(amount, unit) {
  return unit ? `${number(amount)} ${unit}` : number(amount);
}

function samplesText(samples) {
  const lost = samples.reduce((sum, sample) => sum + sample.weight * (1 - sample.kept), 0);
  return `${samples.length} samples, ${share(lost)} of the weight outside the picture`;
}
