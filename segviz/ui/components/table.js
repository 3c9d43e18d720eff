// A sortable table, a Streamlit component (v2). Clicking a header sorts numbers from the largest and texts from A, then in
// reverse, then restores the original order. Missing values stay at the end.

const LONG = 60; // characters from which a column's texts wrap
const ORDERS = ["ascending", "descending"];

/** Row indices in the order of a column's values. */
function sortRows(values, order) {
  const rows = values.map((_, row) => row);
  if (!order) return rows;
  const sign = order === "ascending" ? 1 : -1;
  const compare = (a, b) => (typeof a === "number" ? a - b : String(a).localeCompare(String(b), undefined, { numeric: true }));
  const present = rows.filter((row) => values[row] !== null);
  present.sort((a, b) => sign * compare(values[a], values[b]));
  return [...present, ...rows.filter((row) => values[row] === null)];
}

/** The order after a click on a column's header; "" is the original order. */
function nextOrder(order, number) {
  const [first, second] = number ? ORDERS.toReversed() : ORDERS;
  return { "": first, [first]: second, [second]: "" }[order];
}

function createCell(tag, { number, pinned, long }, ...content) {
  const cell = document.createElement(tag);
  cell.append(...content);
  cell.classList.toggle("text", !number);
  cell.classList.toggle("pinned", pinned);
  cell.classList.toggle("long", long);
  return cell;
}

function createHeader(column, order, onClick) {
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: column.title, onclick: onClick });
  if (column.meaning) button.title = column.meaning; // screen readers read it, too
  const header = Object.assign(createCell("th", column, button), { scope: "col" });
  if (order) header.setAttribute("aria-sort", order);
  return header;
}

/** A cell's text; where cells open something, a button. */
function createContent(column, index, opener) {
  const text = column.texts[index];
  if (!opener || column.pinned || column.values[index] === null) return text;
  const button = Object.assign(document.createElement("button"), { type: "button", textContent: text, onclick: () => opener.open([index, column.title]) });
  const [row, title] = opener.opened;
  if (row === index && title === column.title) button.setAttribute("aria-current", "true");
  return button;
}

/** Bring the container of a Streamlit key into view, and the keyboard with it. */
function goTo(key) {
  const place = document.querySelector(`.st-key-${key}`);
  if (!place) return;
  place.tabIndex = -1;
  place.focus({ preventScroll: true });
  place.scrollIntoView({ block: "start" });
}

/** Say above the table that it goes on, while it is wider than its frame. */
function watchWidth(parentElement) {
  const frame = parentElement.querySelector(".frame"), more = parentElement.querySelector(".more");
  parentElement.widthObserver?.disconnect();
  parentElement.widthObserver = new ResizeObserver(() => { more.hidden = frame.scrollWidth <= frame.clientWidth; });
  for (const part of [frame, frame.firstElementChild]) parentElement.widthObserver.observe(part);
}

function createRow(columns, index, opener) {
  const row = document.createElement("tr");
  row.append(...columns.map((column) => {
    const cell = createCell(column.pinned ? "th" : "td", column, createContent(column, index, opener));
    if (column.pinned) cell.scope = "row";
    return cell;
  }));
  return row;
}

function draw(parentElement, { label, columns }, opener) {
  const table = parentElement.querySelector("table"), { title = "", order = "" } = parentElement.sorted ?? {};
  const by = columns.find((column) => column.title === title);
  const caption = Object.assign(document.createElement("caption"), { textContent: label });
  const [top, body, headers] = ["thead", "tbody", "tr"].map((tag) => document.createElement(tag));
  headers.append(...columns.map((column) => {
    const own = column === by ? order : "";
    return createHeader(column, own, () => {
      parentElement.sorted = { title: column.title, order: nextOrder(own, column.number) };
      draw(parentElement, { label, columns }, opener);
      table.querySelectorAll("thead button")[columns.indexOf(column)].focus();
    });
  }));
  top.append(headers);
  body.append(...sortRows((by ?? columns[0]).values, by ? order : "").map((index) => createRow(columns, index, opener)));
  table.replaceChildren(caption, top, body);
}

export default function ({ parentElement, data: [data], setTriggerValue }) {
  const columns = data.columns.map((column) => ({ ...column, long: column.texts.some((text) => text.length >= LONG) }));
  const open = (cell) => {
    setTriggerValue("picked", cell);
    goTo(data.place);
  };
  parentElement.querySelector(".frame").classList.toggle("opens", Boolean(data.place));
  draw(parentElement, { ...data, columns }, data.place && { open, opened: data.opened });
  watchWidth(parentElement);
}
