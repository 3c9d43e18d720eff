// Takes a picture that is dropped anywhere on the page, a Streamlit component (v2): hands it to the page's own uploader,
// so that its checks and limits hold. Where the page shows a drawn scene, Python first changes to the own picture.

const UPLOADERS = ["[data-testid=stSidebar]", ".st-key-drop_zone"].map((place) => `${place} [data-testid=stFileUploader] input[type=file]`);
const WAIT = 20_000; // ms for the uploader to appear; the server may be busy
const LOOK_EVERY = 100;
const SHOWN_AFTER = 1000; // ms after the last dragover, which comes every 350 ms at least

/** The uploader of the own picture, if the page shows it; not one that the run under way may take away. */
const findUploader = () => [...document.querySelectorAll(UPLOADERS)].find((uploader) => !uploader.closest("[data-stale=true]"));

const hasFiles = (event) => event.dataTransfer?.types.includes("Files");

/** Whether an event is on an uploader, which takes its files itself. */
const isOnUploader = (event) => event.composedPath().some((node) => node.dataset?.testid === "stFileUploader");

/** Gives a file to an uploader as if it had been chosen there. */
function hand(file, uploader) {
  const files = new DataTransfer();
  files.items.add(file);
  uploader.files = files.files;
  uploader.dispatchEvent(new Event("change", { bubbles: true }));
}

/** Gives a file to the uploader once it is there. */
function handLater(file, until) {
  const uploader = findUploader();
  if (uploader && !uploader.disabled) hand(file, uploader);
  else if (Date.now() < until) setTimeout(() => handLater(file, until), LOOK_EVERY);
}

const listeners = new WeakMap();

export default function ({ parentElement, setTriggerValue }) {
  listeners.get(parentElement)?.abort();
  const controller = new AbortController(), { signal } = controller, sign = parentElement.querySelector(".drop");
  listeners.set(parentElement, controller);
  let leaving;
  const show = (shown) => {
    clearTimeout(leaving);
    if (shown !== sign.matches(":popover-open")) sign.togglePopover(shown); // in the top layer: no sidebar covers it
  };
  const listen = (name, action) => document.addEventListener(name, (event) => {
    if (hasFiles(event) && !isOnUploader(event)) action(event);
    else show(false);
  }, { signal });
  listen("dragover", (event) => {
    event.preventDefault(); // without it, the browser opens the file in place of the page
    show(true);
    leaving = setTimeout(() => show(false), SHOWN_AFTER); // nothing else says that the pointer has left the window
  });
  listen("drop", (event) => {
    event.preventDefault();
    show(false);
    const [file] = event.dataTransfer.files;
    if (!file) return;
    if (!findUploader()) setTriggerValue("dropped", true);
    handLater(file, Date.now() + WAIT);
  });
  return () => controller.abort();
}
