// The reader's settings: kept by the module, changed by the controls, and told to Python after a pause.
import { isAlone } from "./legend.js";
import { settingsOf } from "./settings.js";

const TELL_AFTER = 300; // ms after the last change before Python hears of it

let kept = settingsOf(null); // the module outlives a switch of pages, and with it the settings

export class Preferences {
  /** `changed` is called after every change. */
  constructor(changed) {
    Object.assign(this, { changed, tell: null, told: null, begun: false });
  }

  get now() {
    return kept;
  }

  /** The first settings that Python gives are the ones to begin with; after that the reader's count. */
  begin(given, tell) {
    this.tell = given ? tell : null; // a page that gives none does not want to know either
    if (!given || this.begun) return;
    this.begun = true;
    kept = settingsOf(given);
    this.told = JSON.stringify(kept);
    this.changed();
  }

  /** A change by the reader. */
  set(changes) {
    kept = settingsOf({ ...kept, ...changes });
    this.changed();
    clearTimeout(this.telling);
    this.telling = setTimeout(() => {
      const now = JSON.stringify(kept);
      if (!this.tell || now === this.told) return;
      this.told = now;
      this.tell(kept);
    }, TELL_AFTER);
  }

  toggle(name) {
    const hidden = new Set(kept.hidden);
    if (!hidden.delete(name)) hidden.add(name);
    this.set({ hidden: [...hidden] });
  }

  /** Hides all other classes of a set; once more, and all are back. */
  only(name, names) {
    const hidden = new Set(kept.hidden), alone = isAlone(name, names, hidden);
    for (const other of names) {
      if (alone || other === name) hidden.delete(other);
      else hidden.add(other);
    }
    this.set({ hidden: [...hidden] });
  }

  all() {
    this.set({ hidden: [] });
  }

  stop() {
    clearTimeout(this.telling);
  }
}
