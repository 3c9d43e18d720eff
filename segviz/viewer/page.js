// Starts the viewer of a page that stands alone. It comes after the viewer's own scripts, in the same module; the picture and
// the maps are in the page, and the pins and settings stay in it.
const MAPS = new Map([...document.querySelectorAll("script[data-map]")].map((element) => [element.dataset.map, element]));
const PAGE = JSON.parse(document.getElementById("viewer-data").textContent);

/** The bytes of a map of the page: they are compressed, and written as base64. */
async function readFromPage(name) {
  const letters = atob(MAPS.get(name).textContent), bytes = new Uint8Array(letters.length);
  for (let i = 0; i < bytes.length; i++) bytes[i] = letters.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Response(stream).arrayBuffer();
}

/** A panel that follows the pointer, once more for a pin; `fix_to_pin` in panels_of_prediction.py has the same title. */
function fixToPin(panel, [y, x, colour], index) {
  const pin = { number: index + 1, colour: PAGE.colours[colour] };
  return { ...panel, title: `${panel.title} of point ${index + 1}`, note: "", worth: "", at: [y, x], pin };
}

/** The page's panels for these pins. Where `pinRows` says so, each pin has a row of its own; rows of lost pins go. */
function panelsFor(pins) {
  const isKept = ({ pin, at }) => !pin || (pins[pin.number - 1]?.[0] === at[0] && pins[pin.number - 1]?.[1] === at[1]);
  const kept = PAGE.panels.filter(isKept);
  if (!PAGE.pinRows) return kept;
  const follows = PAGE.panels.filter(({ at, look, map }) => !at && map && POINTED.includes(look));
  return [...kept, ...pins.flatMap((pin, index) => follows.map((panel) => fixToPin(panel, pin, index)))];
}

function showPage(pins, echo) {
  const data = { ...PAGE, pins, echo, panels: panelsFor(pins) };
  mountViewer({ data: [data], parentElement: document.body, setStateValue: take });
}

/** Takes an edit of the pins, as Python does in the app; everything else stays in the viewer. */
function take(name, edit) {
  if (name === "edit") showPage(edit.pins, { mount: edit.mount, seq: edit.seq });
}

readBlobsWith(readFromPage);
showPage(PAGE.pins, null);
