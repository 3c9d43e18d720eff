// Helpers for elements. What changes in every frame is moved by transforms, and unchanged texts are not written again,
// so that no frame needs a layout; CSS container units instead would add 2 ms to a frame of eleven panels.

/** Puts an element at (left, top), in CSS pixels; height and width, if given, are in fractions of the stage. */
export function placeElement(element, top, left, height, width) {
  if (element.top !== top || element.left !== left) {
    Object.assign(element, { top, left });
    element.style.setProperty("--y", `${top}px`);
    element.style.setProperty("--x", `${left}px`);
  }
  if (height === undefined || (element.tall === height && element.wide === width)) return;
  Object.assign(element, { tall: height, wide: width });
  Object.assign(element.style, { height: `${100 * height}%`, width: `${100 * width}%` });
}

/** Moves a mark along its bar, to a fraction of the bar's length. */
export function slideMark(element, fraction) {
  if (element.at === fraction) return;
  element.at = fraction;
  element.style.setProperty("--x", fraction);
}

export function setText(element, text) {
  if (element.lastText === text) return;
  element.lastText = text;
  if (element.firstChild) element.firstChild.data = text; // a new text node would cost another layout
  else element.textContent = text;
}

export function createElement(tag, className, ...children) {
  const element = document.createElement(tag);
  element.className = className;
  element.append(...children);
  return element;
}

/** Creates a button; `label` is its accessible name if the text is not enough. */
export function createButton(className, text, label = null) {
  const button = createElement("button", className, text);
  button.type = "button";
  if (label !== null) button.setAttribute("aria-label", label);
  return button;
}
