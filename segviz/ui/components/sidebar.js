// Closes the sidebar where it covers the page; Streamlit calls this when Python sends another choice.

const COVERS_UP_TO = 768; // CSS pixels of the window: Streamlit's breakpoint

export default function () {
  if (window.innerWidth > COVERS_UP_TO) return;
  document.querySelector("[data-testid=stSidebarCollapseButton] button")?.click();
}
