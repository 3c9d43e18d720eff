// Small things done to elements. What changes in every frame goes through transforms and leaves equal texts alone, so
// that no frame waits for a layout; container units in their place would cost two milliseconds of eleven panels' frame.

/** Puts an element over a rectangle: its corner in CSS pixels, its size, if it has one, in fractions of the stage. */
export function move(element, top, left, height, width) {
  if (element.top !== top || element.left !== left) {
    Object.assign(element, { top, left });
    element.style.setProperty("--y", `${top}px`);
    element.style.setProperty("--x", `${left}px`);
  }
  if (height === undefined || (element.tall === height && element.wide === width)) return;
  Object.assign(element, { tall: height, wide: width });
  Object.assign(element.style, { height: `${100 * height}%`, width: `${100 * width}%` });
}

/** Moves a mark along its bar. */
export function slide(element, fraction) {
  if (element.at === fraction) return;
  element.at = fraction;
  element.style.setProperty("--x", fraction);
}

export function say(element, text) {
  if (element.said === text) return;
  element.said = text;
  if (element.firstChild) element.firstChild.data = text; // a new text node would cost a layout more
  else element.textContent = text;
}

export function element(tag, name, ...children) {
  const made = document.createElement(tag);
  made.className = name;
  made.append(...children);
  return made;
}

/** A button; `label` is its name where the text alone does not say it. */
export function button(name, text, label = null) {
  const made = element("button", name, text);
  made.type = "button";
  if (label !== null) made.setAttribute("aria-label", label);
  return made;
}
