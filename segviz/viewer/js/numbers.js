// Numbers as text. Pure functions.

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** So many significant digits; scientific notation, with one digit less, for very small and very large numbers. */
export function formatNumber(value, digits = 3) {
  if (value === 0) return "0";
  const size = Math.abs(value), sign = value < 0 ? "−" : "";
  if (size >= 0.001 && size < 999.5) return sign + size.toPrecision(digits);
  const [mantissa, power] = size.toExponential(digits - 2).split("e");
  return `${sign}${mantissa}·10${[...String(Number(power))].map((c) => SUPERSCRIPTS[c]).join("")}`;
}

/** An attention weight as a percentage. */
export const formatWeight = (value, digits = 3) => `${formatNumber(100 * value, digits)} %`;

/** Both ends of a scale to three digits, or to as many as tell them apart. */
export function formatEnds(low, high, format) {
  for (let digits = 3; ; digits++) {
    const ends = [format(low, digits), format(high, digits)];
    if (ends[0] !== ends[1] || low === high || digits === 17) return ends;
  }
}
