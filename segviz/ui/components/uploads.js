// Remembers in the browser's tab which files a page has, a Streamlit component (v2) that shows nothing. The server drops
// uploads and runs with the session, so only the tab still knows of them after a reload; Python then says so.

const MOST_NAMES = 3;

const sessions = new WeakMap(); // the session that each mounted component was last called for

const keyOf = (page) => `segviz uploads ${page}`;

/** What the tab remembers of a page; null without anything, or where the browser keeps nothing. */
function read(page) {
  try {
    return JSON.parse(sessionStorage.getItem(keyOf(page)));
  } catch {
    return null;
  }
}

function write(page, value) {
  try {
    if (value) sessionStorage.setItem(keyOf(page), JSON.stringify(value));
    else sessionStorage.removeItem(keyOf(page));
  } catch {
    // a browser that keeps nothing cannot say what was lost
  }
}

export default function ({ parentElement, data: [{ page, session, files, run, pictures }], setStateValue }) {
  const isNew = sessions.get(parentElement) !== session; // the page was opened, or the server has lost the session
  sessions.set(parentElement, session);
  const kept = read(page);
  if (files.length || run) {
    write(page, { session, names: files.slice(0, MOST_NAMES), count: files.length, run, pictures });
  } else if (kept && isNew) {
    setStateValue("lost", kept);
  } else if (kept?.session === session) {
    write(page, null); // the reader took the files away
  }
}
