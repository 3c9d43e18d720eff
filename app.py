"""The browser app: `streamlit run app.py`. One file is both the page script and the server's ASGI app."""

from pathlib import Path

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from segviz.paths import PACKAGE
from segviz.server import logs
from segviz.settings import SettingError, settings

PAGES = (
    ("pages/home.py", "Start", "home"),
    ("pages/inspect.py", "Inspect", "center_focus_strong"),
    ("pages/psa.py", "PSA", "share_location"),
    ("pages/snl.py", "SNL", "scatter_plot"),
    ("pages/sam.py", "SAM", "view_week"),
    ("pages/fla.py", "FLA", "layers"),
    ("pages/blocks.py", "Same pixel", "grid_view"),
    ("pages/attribution.py", "Attribution", "network_node"),
    ("pages/compare.py", "Compare", "compare"),
    ("pages/folder.py", "Many pictures", "photo_library"),
    ("pages/results.py", "Results", "leaderboard"),
)
# Pages that look at no picture, or at others: the sidebar's picture and device mean nothing there.
WITHOUT_PICTURE = ("Many pictures", "Results")


def main() -> None:
    """Page config, sidebar, navigation."""
    from segviz.ui.page_address import restore, tell_refused
    from segviz.ui.page_frame import frame
    from segviz.ui.picture_sidebar import keep_widgets, sidebar

    logs.new_request()
    icon = str(PACKAGE / "ui" / "icon.svg")  # our own: Streamlit's symbols as icons come from another server
    st.set_page_config("segviz", icon, layout="wide")
    pages = [
        st.Page(path, title=title, icon=f":material/{icon}:", default=number == 0)
        for number, (path, title, icon) in enumerate(PAGES)
    ]
    page = st.navigation(pages, expanded=True)
    frame(pages)
    name = page.url_path or Path(PAGES[0][0]).stem
    restore(name)
    if page.title in WITHOUT_PICTURE:
        keep_widgets()
    else:
        sidebar()
    tell_refused(name)
    page.run()


if __name__ == "__main__":
    main()
else:
    # A folder named pages puts Streamlit into its older pages mode until st.navigation has run once: the first
    # visitor of /psa would get the page without sidebar. st.navigation sets the same flag, only later.
    PagesManager.uses_pages_directory = False
    try:
        limits = settings()
    except SettingError as error:
        raise SystemExit(f"segviz: {error}") from None
    from segviz.ui.server import around

    app = st.App(__file__, **around(limits))
