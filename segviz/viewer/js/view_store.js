// Keeps the view for the page's link: Python gives the first one, and is sent the reader's after a pause.

const SEND_VIEW_AFTER = 400; // ms after the last change

export class ViewStore {
  constructor() {
    Object.assign(this, { send: null, started: false, first: null });
  }

  /** Takes the first view from Python; after that, the reader's counts. `send` passes changes to Python. */
  start(view, send) {
    this.send = view ? send : null; // a page that gives no view wants no changes either
    if (this.started || !view) return;
    Object.assign(this, { started: true, first: view, sent: JSON.stringify(view) });
  }

  /** The first view, once: it can be applied when the panels have their size. */
  takeFirst() {
    const { first } = this;
    this.first = null;
    return first;
  }

  /** Sends a view unless it changes again. */
  change({ zoom, top, left }) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const text = JSON.stringify({ zoom, top, left });
      if (!this.send || text === this.sent) return;
      this.sent = text;
      this.send({ zoom, top, left });
    }, SEND_VIEW_AFTER);
  }

  stop() {
    clearTimeout(this.timer);
  }
}
