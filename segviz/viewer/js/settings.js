// The display settings: their choices, their defaults, and how they are read from an object. Pure functions.

/** The choices of each setting; the first is the default. segviz/viewer/display.py has the same. */
export const CHOICES = {
  colours: ["viridis", "cividis", "magma", "gray"],
  range: ["own", "shared"],
  scale: ["auto", "linear", "log", "percentile"],
  cells: ["smooth", "cells"],
  direction: ["attends_to", "attended_by"],
};
const OPACITY = 65;
const MOST_HIDDEN = 256;

/** Reads settings from an object; unknown or invalid values become the defaults. */
export function readSettings(object) {
  const source = object ?? {}, settings = {};
  for (const [name, choices] of Object.entries(CHOICES)) {
    settings[name] = choices.includes(source[name]) ? source[name] : choices[0];
  }
  const { opacity, hidden } = source;
  settings.opacity = Number.isInteger(opacity) && opacity >= 0 && opacity <= 100 ? opacity : OPACITY;
  settings.outlines = source.outlines === true;
  settings.strongest = source.strongest === true;
  const names = Array.isArray(hidden) ? hidden.filter((name) => typeof name === "string") : [];
  settings.hidden = [...new Set(names)].sort().slice(0, MOST_HIDDEN);
  return settings;
}
