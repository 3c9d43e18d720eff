// A table, a Streamlit component (v2), that sorts by the head that is pressed: numbers from the largest, texts from A,
// then the other way round, then as they came. What is not there stays at the end.

const LONG = 60; // letters from which on a column's texts break into lines
const ORDERS = ["ascending", "descending"];

/** The rows' numbers in the order of a column's values. */
function sortedRows(values, order) {
  const rows = values.map((_, row) => row);
  if (!order) return rows;
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  const there = rows.filter((row) => values[row] !== null);
  there.sort((a, b) => sign * compare(values[a], values[b]));
  return [...there, ...rows.filter((row) => values[row] === null)];
}

/** What pressing a head makes of a column's order; "" is as it came. */
function nextOrder(order, number) {
  const [first, second] = number ? ORDERS.toReversed() : ORDERS;
  return { "": first, [first]: second, [second]: "" }[order];
}

function cell(tag, { number, pinned, long }, ...content) {
  const made = document.createElement(tag);
  made.append(...content);
  made.classList.toggle("text", !number);
  made.classList.toggle("pinned", pinned);
  made.classList.toggle("long", long);
  return made;
}

function head(column, order, press) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: column.title, onclick: press });
  if (column.meaning) button.title = column.meaning; // which screen readers tell, too
  const made = Object.assign(cell("th", column, button), { scope: "col" });
  if (order) made.setAttribute("aria-sort", order);
  return made;
}

function row(columns, number) {
  const made = document.createElement("tr");
  made.append(...columns.map((column) => {
    const one = cell(column.pinned ? "th" : "td", column, column.texts[number]);
    if (column.pinned) one.scope = "row";
    return one;
  }));
  return made;
}

function draw(parentElement, { label, columns }) {
  const table = parentElement.querySelector("table"), { title = "", order = "" } = parentElement.sorted ?? {};
  const by = columns.find((column) => column.title === title);
  const caption = Object.assign(document.createElement("caption"), { textContent: label });
  const top = document.createElement("thead"), body = document.createElement("tbody"), heads = document.createElement("tr");
  heads.append(...columns.map((column) => {
    const own = column === by ? order : "";
    return head(column, own, () => {
      parentElement.sorted = { title: column.title, order: nextOrder(own, column.number) };
      draw(parentElement, { label, columns });
      table.querySelectorAll("button")[columns.indexOf(column)].focus();
    });
  }));
  top.append(heads);
  body.append(...sortedRows((by ?? columns[0]).values, by ? order : "").map((number) => row(columns, number)));
  table.replaceChildren(caption, top, body);
}

export default function ({ parentElement, data: [data] }) {
  const columns = data.columns.map((one) => ({ ...one, long: one.texts.some((text) => text.length >= LONG) }));
  draw(parentElement, { ...data, columns });
}
