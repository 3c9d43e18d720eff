// "Copy link", a Streamlit component (v2). It also keeps the page's address up to date, so that a reload restores the page.
// A page may mount it again, hidden, beside controls that run without the part of the page that has the button.

const SHOWN_FOR = 6000; // ms
const COPIED = "Link copied";
const WITHOUT_FILE = "Link copied. It does not contain your picture; whoever opens it is asked for the file";

/** The page's address with the link's parameters; of the old ones, only Streamlit's embedding options remain. */
export function addressOf(parameters, { pathname, search, hash }) {
  const embedding = [...new URLSearchParams(search)].filter(([name]) => name.startsWith("embed"));
  const query = new URLSearchParams([...parameters, ...embedding]).toString();
  return pathname + (query ? `?${query}` : "") + hash;
}

/** What an address shows of what Back undoes in steps, its picture and its models; "" for what it does not name. */
export function stepsIn(search) {
  const parameters = new URLSearchParams(search);
  const picture = ["seed", "picture", "upload"].map((name) => parameters.get(name) ?? "").join(" ").trim();
  return { picture, models: parameters.getAll("model").join(" ") };
}

/** Whether one address leads to another by another picture or other models: a step that the browser's Back undoes. */
export function isStep(before, after) {
  const [from, to] = [before, after].map(stepsIn);
  return ["picture", "models"].some((each) => from[each] && to[each] && from[each] !== to[each]);
}

const AWAITED_FOR = 20_000; // ms; the server may be busy, or the address may name what cannot be shown

let awaited = { search: null, until: 0 }; // where the browser went back to: runs under way still show what was before
globalThis.addEventListener?.("popstate", () => {
  awaited = { search: location.search, until: Date.now() + AWAITED_FOR };
});

/** Brings the page's address up to date, in a new step of the browser's history where `isStep` says so. */
function writeAddress(parameters) {
  const address = addressOf(parameters, location);
  const step = isStep(location.search, new URLSearchParams(parameters).toString());
  if (step && location.search === awaited.search && Date.now() < awaited.until) return;
  awaited = { search: null, until: 0 };
  if (address === location.pathname + location.search + location.hash) return; // browsers limit how often it is written
  history[step ? "pushState" : "replaceState"](history.state, "", address); // no history entry for each pin
}

let newest = 0; // when Python made what was written last: an older part of the page does not undo it

/** Copies text; browsers offer the clipboard API only to pages served over https or from localhost. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("the browser refused to copy");
}

export default function ({ parentElement, data: [data] }) {
  const button = parentElement.querySelector("button"), message = parentElement.querySelector(".message");
  if (data.time >= newest) {
    newest = data.time;
    writeAddress(data.parameters);
  }
  parentElement.querySelector(".link").hidden = data.hidden;
  const show = (text) => {
    message.textContent = text;
    clearTimeout(parentElement.hiding);
    parentElement.hiding = setTimeout(() => { message.textContent = ""; }, SHOWN_FOR);
  };
  message.textContent = "";
  button.onclick = () => copy(location.href).then(
    () => show(data.upload ? WITHOUT_FILE : COPIED),
    () => show("Copy the link from the address bar"),
  );
}
