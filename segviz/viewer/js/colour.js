// Colour tables, colour scales and how numbers are written. Pure functions.
import { bitsOf, log2OfBits } from "./arithmetic.js";
import { percentiles } from "./statistics.js";

// 33 evenly spaced colours of matplotlib's tables; linear between them is within 5/255 of the originals.
const TABLES = {
  viridis: "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725",
  cividis: "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d5a5f6e61656f686a716f70737676767d7c788482798c8878938e789b9476a39a74aba072b4a76fbcae6cc4b468cdbb63d5c25edec958e7d150f0d846f9e03afee838",
  magma: "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337db73779c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67cfec488fed395fde2a3fcf0b2fcfdbf",
  gray: "000000ffffff",
  signed: "0530610e41791752901f63a82a71b23480b93f8ec0529dc86bacd184bcd99bc9e0aed3e6c2ddecd4e6f1e0ecf3ecf2f5f7f6f6f9eee7fbe5d8fddcc9fbccb4f8bb9ef5aa89ee9677e48066db6b55d05548c53e3dba2832ab162a930e267c072267001f",
};
const STEPS = 1024;
const BULK = [0.01, 0.99]; // what a percentile scale spans
const FLAT = 1e-6; // a spread below this share of the values' size is rounding, not structure
const LOG_DECADES = 3; // a logarithmic bar reaches down to a thousandth of its top

const anchors = (name) => TABLES[name].match(/.{6}/g);

/** The table as a CSS gradient, for the colour bar. */
export function gradient(name) {
  return `linear-gradient(90deg, ${anchors(name).map((hex) => `#${hex}`).join(",")})`;
}

export const word = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

const tables = new Map();

/** The table as opaque little-endian RGBA words, to be written straight into ImageData. */
export function colourTable(name) {
  if (!tables.has(name)) {
    const stops = anchors(name).map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    tables.set(name, Uint32Array.from({ length: STEPS }, (_, step) => {
      const at = (step / (STEPS - 1)) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
      const [r, g, b] = stops[low].map((value, i) => Math.round(value + (stops[low + 1][i] - value) * (at - low)));
      return word(r, g, b);
    }));
  }
  return tables.get(name);
}

/** Black or white, whichever is easier to read on a colour "#rrggbb" (WCAG's contrast ratio). */
export function inkOn(colour) {
  const channel = (at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#000" : "#fff";
}

/**
 * The two values that a scale of this mode spans for one map, whose values reach from `low` to `top`: from 0, or below
 * it; of a percentile scale where the bulk of the values lies, unless that is one value: then there is nothing to spread.
 */
export function limitsOf(mode, values, low, top) {
  const whole = [Math.min(low, 0), top];
  if (mode !== "percentile") return whole;
  const [first, last] = percentiles(values, ...BULK);
  if (!(last - first > FLAT * Math.max(Math.abs(first), Math.abs(last)))) return whole;
  return low < 0 ? [Math.min(first, -last), last] : [first, last]; // signed stays signed
}

/**
 * The scale that spans [low, high]. One of weights starts at 0, so that a flat map looks flat; one with negative values
 * gets the same length on both sides of 0.
 */
export function scaleOf(mode, low, high) {
  if (low < 0) return scale(-Math.max(-low, high), Math.max(-low, high), { signed: true });
  if (high <= 0) return { low: 0, high: 0, factor: 0, offset: 0, position: () => 0 };
  if (mode === "log") {
    const position = (value) => Math.max(0, 1 + Math.log10(Math.max(value, 1e-38) / high) / LOG_DECADES);
    return { low: high / 10 ** LOG_DECADES, high, logarithmic: true, position };
  }
  return scale(low, high, {});
}

function scale(low, high, more) {
  const factor = 1 / (high - low), offset = -low * factor;
  return { low, high, factor, offset, position: (value) => value * factor + offset, ...more };
}

const NO_NUMBER = word(255, 0, 255); // magenta, in none of the tables

/**
 * Writes the colours of a map's values into pixel words; values beyond the scale get its ends' colours, and those that
 * are no numbers stand out.
 */
export function paint(pixels, values, scale, table) {
  const last = table.length - 1;
  if (scale.logarithmic) { // log2 by table: a call of Math.log10 for each cell costs eight times as much
    const bits = bitsOf(values), slope = (last * Math.LOG10E * Math.LN2) / LOG_DECADES;
    const offset = last - slope * Math.log2(scale.high);
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = values[i] === values[i] ? table[step(log2OfBits(bits[i]) * slope + offset, last)] : NO_NUMBER;
    }
    return;
  }
  const slope = scale.factor * last, offset = scale.offset * last;
  for (let i = 0; i < pixels.length; i++) {
    const at = values[i] * slope + offset;
    pixels[i] = at === at ? table[step(at, last)] : NO_NUMBER;
  }
}

/** The nearest step of a table; compared first, because `| 0` of a large number is any number. */
function step(at, last) {
  return at >= last ? last : at > 0 ? (at + 0.5) | 0 : 0;
}

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** Three significant digits; powers of ten where zeros would hide the number. */
export function number(value) {
  if (value === 0) return "0";
  const size = Math.abs(value), sign = value < 0 ? "−" : "";
  if (size >= 0.001 && size < 999.5) return sign + size.toPrecision(3);
  const [digits, power] = size.toExponential(1).split("e");
  return `${sign}${digits}·10${[...String(Number(power))].map((c) => SUPERSCRIPTS[c]).join("")}`;
}

/** An attention weight, as the share that it is. */
export const share = (value) => `${number(100 * value)} %`;
