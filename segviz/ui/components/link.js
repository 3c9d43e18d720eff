// "Copy link", a Streamlit component (v2). It also keeps the page's address up to date, so that a reload restores it.

const COPIED = "Link copied";
const WITHOUT_FILE = "Link copied. Your picture is not in it: whoever opens it is asked for the file";

/** The address with the link's parameters; of those there were, only Streamlit's own for embedding stay. */
export function addressOf(parameters, { pathname, search, hash }) {
  const own = [...new URLSearchParams(search)].filter(([name]) => name.startsWith("embed"));
  const query = new URLSearchParams([...parameters, ...own]).toString();
  return pathname + (query ? `?${query}` : "") + hash;
}

/** Writes text to the clipboard; browsers offer the first way only to pages that came over https or from localhost. */
async function copy(text) {
  if (navigator.clipboard) return navigator.clipboard.writeText(text);
  const field = Object.assign(document.createElement("textarea"), { value: text });
  document.body.append(field);
  field.select();
  const copied = document.execCommand("copy");
  field.remove();
  if (!copied) throw new Error("the browser does not copy");
}

export default function ({ parentElement, data: [data] }) {
  const button = parentElement.querySelector("button"), said = parentElement.querySelector(".said");
  history.replaceState(history.state, "", addressOf(data.parameters, location)); // pins would fill the way back
  said.textContent = "";
  button.onclick = () => copy(location.href).then(
    () => { said.textContent = data.upload ? WITHOUT_FILE : COPIED; },
    () => { said.textContent = "Copy the link from the address bar"; },
  );
}
