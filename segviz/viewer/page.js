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

const HEAD = document.getElementById("head"); // the choice of a head, where all panels show the same

/** Which heads are shown, in words, as in network_panels.py. */
const headWords = (head, heads) => (Number.isInteger(head) ? `head ${head} (0 to ${heads - 1})` : `${head} of ${heads} heads`);

/** The panel with the chosen head; without change where its map has no such head. */
function withHead(panel) {
  const head = /^\d+$/.test(HEAD?.value) ? Number(HEAD.value) : HEAD?.value;
  if (head === undefined || !(panel.heads > 1) || head >= panel.heads) return panel;
  return { ...panel, head, note: panel.note.replace(headWords(panel.head, panel.heads), headWords(head, panel.heads)) };
}

/** A panel that follows the pointer, once more for a pin; `fix_to_pin` in panels_of_maps.py has the same title. */
function fixToPin(panel, [y, x, colour]) {
  const pin = { number: colour + 1, colour: PAGE.colours[colour] };
  return { ...panel, title: `${panel.title} of point ${pin.number}`, note: "", worth: "", at: [y, x], pin };
}

/** The page's panels for these pins. Where `pinRows` says so, each pin has a row of its own; rows of lost pins go. */
function panelsFor(pins) {
  const isPin = ({ number }, at) => pins.some(([y, x, colour]) => colour + 1 === number && y === at[0] && x === at[1]);
  const isKept = ({ pin, at }) => !pin || isPin(pin, at);
  const panels = PAGE.panels.map(withHead), kept = panels.filter(isKept);
  if (!PAGE.pinRows) return kept;
  const follows = panels.filter(({ at, look, map, query }) => !at && map && POINTED.includes(look) && (query ?? null) === null);
  return [...kept, ...pins.flatMap((pin) => follows.map((panel) => fixToPin(panel, pin)))];
}

let shown = [PAGE.pins, null]; // the pins, and the edit that they come from

function showPage(pins, echo) {
  shown = [pins, echo];
  const data = { ...PAGE, pins, echo, panels: panelsFor(pins) };
  mountViewer({ data: [data], parentElement: document.body, setStateValue: take });
}

/** Takes an edit of the pins, as Python does in the app; everything else stays in the viewer. */
function take(name, edit) {
  if (name === "edit") showPage(edit.pins, { mount: edit.mount, seq: edit.seq });
}

readBlobsWith(readFromPage);
HEAD?.addEventListener("change", () => showPage(...shown));
showPage(...shown);
