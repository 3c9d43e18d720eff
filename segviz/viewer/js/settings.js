// What a reader can set: the choices, the defaults, and what of a given object can be used. Pure functions.

/** The choices of each setting; the first is the default. segviz/viewer/display.py has the same ones. */
export const CHOICES = {
  colours: ["viridis", "cividis", "magma", "gray"],
  range: ["own", "shared"],
  scale: ["linear", "log", "percentile"],
  cells: ["smooth", "cells"],
  direction: ["attends_to", "attended_by"],
};
const OPACITY = 65;
const MOST_HIDDEN = 256;

/** Settings of a given object: whatever is unknown or no choice becomes the default. */
export function settingsOf(given) {
  const known = given ?? {}, settings = {};
  for (const [name, choices] of Object.entries(CHOICES)) {
    settings[name] = choices.includes(known[name]) ? known[name] : choices[0];
  }
  const { opacity, hidden } = known;
  settings.opacity = Number.isInteger(opacity) && opacity >= 0 && opacity <= 100 ? opacity : OPACITY;
  settings.outlines = known.outlines === true;
  settings.strongest = known.strongest === true;
  const names = Array.isArray(hidden) ? hidden.filter((name) => typeof name === "string") : [];
  settings.hidden = [...new Set(names)].sort().slice(0, MOST_HIDDEN);
  return settings;
}
