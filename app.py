"""The browser app: `streamlit run app.py`. One file is both the page script and the server's ASGI app."""

from functools import partial

import streamlit as st
from streamlit.runtime.pages_manager import PagesManager

from segviz.paths import PACKAGE
from segviz.server import logs
from segviz.settings import settings


def main() -> None:
    """Page config, sidebar, navigation."""
    from segviz.ui.narrow_sidebar import close_after_choice
    from segviz.ui.page_address import complete_refused, restore_link, show_refused, switch_to
    from segviz.ui.page_table import PAGES, sort_for_sidebar
    from segviz.ui.picture_sidebar import show_sidebar

    logs.new_request_id()
    icon = str(PACKAGE / "ui" / "icon.svg")  # our own: Streamlit's symbols as icons come from another server
    st.set_page_config("segviz", icon, layout="wide")
    pages = {
        row.key: st.Page(row.script, title=row.title, icon=f":material/{row.icon}:", default=row.address == "")
        for row in PAGES
    }
    former = {
        address: st.Page(partial(switch_to, pages[row.key]), title=row.title, url_path=address, visibility="hidden")
        for row in PAGES
        for address in row.former
    }
    page = st.navigation([*(pages[row.key] for row in sort_for_sidebar()), *former.values()], expanded=True)
    if page in former.values():
        page.run()
    row = next(row for row in PAGES if row.address == page.url_path)
    st.html(PACKAGE / "ui" / "page.css")
    restore_link(row)
    if row.has_picture:
        show_sidebar()
    close_after_choice(row.key)
    refused = show_refused(row)
    page.run()
    complete_refused(refused, row)


if __name__ == "__main__":
    main()
else:
    # A folder named pages puts Streamlit into its older pages mode until st.navigation has run once: the first
    # visitor of /psa would get the page without sidebar. st.navigation sets the same flag, only later.
    PagesManager.uses_pages_directory = False
    from segviz.catalogue.own_models import own_models

    try:
        limits = settings()
        own_models()
    except ValueError as error:  # a SettingError or a CatalogueError
        raise SystemExit(f"segviz: {error}") from None
    from segviz.ui.server import configure_app

    app = st.App(__file__, **configure_app(limits))
