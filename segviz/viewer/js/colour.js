// Colour tables, and the scales that map values to them. Pure functions.
import { bitsOf, log2OfBits } from "./arithmetic.js";
import { percentiles } from "./statistics.js";

// 33 evenly spaced colours of Matplotlib's tables; linear interpolation is within 5/255 of the originals.
const TABLES = {
  viridis: "440154470d6048186a482374472d7b4537814240863e49893b528b375b8d33638d2f6b8e2c728e297a8e26828e23898e21918c1f988b1fa08822a78528ae8032b67a3fbc734ec36b5ec96270cf5784d44b98d83eaddc30c2df23d8e219ece51bfde725",
  cividis: "00224e00285b002e6a0533711a386f273e6e32436d3b496c434e6c4b546c535a6d5a5f6e61656f686a716f70737676767d7c788482798c8878938e789b9476a39a74aba072b4a76fbcae6cc4b468cdbb63d5c25edec958e7d150f0d846f9e03afee838",
  magma: "0000040303120a0822130d341d114729115a36106b440f7651127c5d177f6a1c81762181832681902a819c2e7faa337db73779c43c75d0416fdc4869e75263ef5d5ef56b5cf9795dfc8961fd9869fea772feb67cfec488fed395fde2a3fcf0b2fcfdbf",
  gray: "000000ffffff",
  signed: "0530610e41791752901f63a82a71b23480b93f8ec0529dc86bacd184bcd99bc9e0aed3e6c2ddecd4e6f1e0ecf3ecf2f5f7f6f6f9eee7fbe5d8fddcc9fbccb4f8bb9ef5aa89ee9677e48066db6b55d05548c53e3dba2832ab162a930e267c072267001f",
};
const STEPS = 1024;
const QUANTILES = [0.01, 0.99]; // the ends of a percentile scale
const FLAT = 1e-3; // a relative spread below this is drawn flat; colour.py has the same
const LOG_DECADES = 3; // a logarithmic scale begins at a thousandth of its top

const anchors = (name) => TABLES[name].match(/.{6}/g);

/** A colour table as a CSS gradient, for the colour bar. */
export function cssGradient(name) {
  return `linear-gradient(90deg, ${anchors(name).map((hex) => `#${hex}`).join(",")})`;
}

/** An opaque colour as a little-endian RGBA word. */
export const rgbaWord = (r, g, b) => ((255 << 24) | (b << 16) | (g << 8) | r) >>> 0;

const tables = new Map();

/** A colour table as RGBA words, which can be written straight into ImageData. */
export function colourTable(name) {
  if (!tables.has(name)) {
    const stops = anchors(name).map((hex) => [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)));
    tables.set(name, Uint32Array.from({ length: STEPS }, (_, step) => {
      const at = (step / (STEPS - 1)) * (stops.length - 1), low = Math.min(Math.floor(at), stops.length - 2);
      const [r, g, b] = stops[low].map((value, i) => Math.round(value + (stops[low + 1][i] - value) * (at - low)));
      return rgbaWord(r, g, b);
    }));
  }
  return tables.get(name);
}

/** Black or white, whichever has the higher contrast (WCAG) on a colour "#rrggbb". */
export function inkOn(colour) {
  const channel = (at) => {
    const value = parseInt(colour.slice(at, at + 2), 16) / 255;
    return value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4;
  };
  const luminance = 0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5);
  return (luminance + 0.05) / 0.05 > 1.05 / (luminance + 0.05) ? "#000" : "#fff";
}

/**
 * The limits [low, high] of a scale for one map whose values run from `low` to `top`: the lower one is 0, or less for
 * negative values, so that a flat map looks flat. A percentile scale has the 1st and the 99th percentile as limits,
 * unless these are equal.
 */
export function scaleLimits(mode, values, low, top) {
  const whole = [Math.min(low, 0), top];
  if (mode !== "percentile") return whole;
  const [first, last] = percentiles(values, ...QUANTILES);
  if (!(last - first > FLAT * Math.max(Math.abs(first), Math.abs(last)))) return whole;
  return low < 0 ? [Math.min(first, -last), last] : [first, last]; // a signed map keeps a signed scale
}

/** The scale that spans [low, high]; if there are negative values, it is symmetric about 0. */
export function makeScale(mode, low, high) {
  if (low < 0) return linearScale(-Math.max(-low, high), Math.max(-low, high), { signed: true });
  if (high <= 0) return { low: 0, high: 0, factor: 0, offset: 0, position: () => 0 };
  if (mode === "log") {
    const position = (value) => Math.max(0, 1 + Math.log10(Math.max(value, 1e-38) / high) / LOG_DECADES);
    return { low: high / 10 ** LOG_DECADES, high, logarithmic: true, position };
  }
  return linearScale(low, high, {});
}

function linearScale(low, high, more) {
  const factor = 1 / (high - low), offset = -low * factor;
  return { low, high, factor, offset, position: (value) => value * factor + offset, ...more };
}

const NAN_COLOUR = rgbaWord(255, 0, 255); // magenta, which no table contains

/**
 * Writes the colours of a map's values into pixel words. Values beyond the scale get the colours of its ends, and NaNs
 * a colour of their own.
 */
export function paintValues(pixels, values, scale, table) {
  const last = table.length - 1;
  if (scale.logarithmic) { // log2 from a table is eight times as fast as Math.log10
    const bits = bitsOf(values), slope = (last * Math.LOG10E * Math.LN2) / LOG_DECADES;
    const offset = last - slope * Math.log2(scale.high);
    for (let i = 0; i < pixels.length; i++) {
      pixels[i] = values[i] === values[i] ? table[nearestStep(log2OfBits(bits[i]) * slope + offset, last)] : NAN_COLOUR;
    }
    return;
  }
  const slope = scale.factor * last, offset = scale.offset * last;
  for (let i = 0; i < pixels.length; i++) {
    const at = values[i] * slope + offset;
    pixels[i] = at === at ? table[nearestStep(at, last)] : NAN_COLOUR;
  }
}

/** The nearest step of a table; compares first because `| 0` overflows for large numbers. */
function nearestStep(at, last) {
  return at >= last ? last : at > 0 ? (at + 0.5) | 0 : 0;
}
