// Numbers as text. Pure functions.

const SUPERSCRIPTS = { "-": "⁻", 0: "⁰", 1: "¹", 2: "²", 3: "³", 4: "⁴", 5: "⁵", 6: "⁶", 7: "⁷", 8: "⁸", 9: "⁹" };

/** Three significant digits; scientific notation for very small and very large numbers. */
export function formatNumber(value) {
  if (value === 0) return "0";
  const size = Math.abs(value), sign = value < 0 ? "−" : "";
  if (size >= 0.001 && size < 999.5) return sign + size.toPrecision(3);
  const [digits, power] = size.toExponential(1).split("e");
  return `${sign}${digits}·10${[...String(Number(power))].map((c) => SUPERSCRIPTS[c]).join("")}`;
}

/** An attention weight as a percentage. */
export const formatWeight = (value) => `${formatNumber(100 * value)} %`;
