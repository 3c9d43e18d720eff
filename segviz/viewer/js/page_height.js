// Keeps the page as high as it is while Python answers: below the viewer, tables go and come back, and a page that becomes
// shorter than its scroll position would slide under the pointer.

export class PageHeight {
  /** `root` is an element of the page. */
  constructor(root, signal) {
    Object.assign(this, { root, signal, page: null });
  }

  /** Lets the page shrink no further until the reader has scrolled to where that moves nothing. */
  hold() {
    if (!this.page) this.find();
    const { page } = this, height = page.getBoundingClientRect().height;
    page.style.boxSizing = "border-box";
    page.style.minHeight = `${height}px`;
  }

  find() {
    const scroller = scrollerOf(this.root);
    this.scroller = scroller ?? document.scrollingElement;
    this.page = scroller?.firstElementChild ?? document.body;
    (scroller ?? document).addEventListener("scroll", () => this.releaseIfUnseen(), { signal: this.signal, passive: true });
  }

  releaseIfUnseen() {
    const { page, scroller } = this, content = page.lastElementChild;
    if (!page.style.minHeight || !content) return;
    const below = Number.parseFloat(getComputedStyle(page).paddingBottom);
    const end = content.getBoundingClientRect().bottom + below, top = Math.max(0, scroller.getBoundingClientRect().top);
    // As long as the content fills the page, what is held for has not come yet: a new pin's chip scrolls the page, too.
    const isShorter = end < page.getBoundingClientRect().bottom - 1;
    if (isShorter && end >= top + scroller.clientHeight) this.release();
  }

  release() {
    if (this.page) this.page.style.minHeight = "";
  }
}

/** The nearest part of the page around an element that scrolls; null if that is the whole page. */
function scrollerOf(element) {
  for (let at = element; at; at = at.parentElement ?? at.getRootNode().host) {
    if (/auto|scroll/.test(getComputedStyle(at).overflowY)) return at;
  }
  return null;
}
