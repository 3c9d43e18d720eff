// Keeps the reader's settings: the controls change them, and Python is sent the new ones after a pause.
import { isOnlyVisible } from "./legend.js";
import { readSettings } from "./settings.js";

const SEND_AFTER = 300; // ms after the last change

let current = readSettings(null); // module state, so that the settings survive a change of page

export class SettingsStore {
  /** `onChange` is called after every change. */
  constructor(onChange) {
    Object.assign(this, { onChange, send: null, sent: null, started: false });
  }

  get current() {
    return current;
  }

  /** Takes the first settings from Python; after that, the reader's count. `send` passes changes to Python. */
  start(settings, send) {
    this.send = settings ? send : null; // a page that gives no settings wants no changes either
    if (!settings || this.started) return;
    this.started = true;
    current = readSettings(settings);
    this.sent = JSON.stringify(current);
    this.onChange();
  }

  /** Applies changes by the reader. */
  set(changes) {
    current = readSettings({ ...current, ...changes });
    this.onChange();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      const text = JSON.stringify(current);
      if (!this.send || text === this.sent) return;
      this.sent = text;
      this.send(current);
    }, SEND_AFTER);
  }

  toggleClass(name) {
    const hidden = new Set(current.hidden);
    if (!hidden.delete(name)) hidden.add(name);
    this.set({ hidden: [...hidden] });
  }

  /** Hides all other classes of a set, or shows them again if they are hidden already. */
  showOnly(name, names) {
    const hidden = new Set(current.hidden), alone = isOnlyVisible(name, names, hidden);
    for (const other of names) {
      if (alone || other === name) hidden.delete(other);
      else hidden.add(other);
    }
    this.set({ hidden: [...hidden] });
  }

  showAllClasses() {
    this.set({ hidden: [] });
  }

  stop() {
    clearTimeout(this.timer);
  }
}
