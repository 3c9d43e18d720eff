"""The pages of the app. A new page is a script in pages/ and a row here."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum

from segviz.viewer.display import Display


class Group(Enum):
    """Where the start page and the sidebar list a page; the value is the start page's heading."""

    START = ""
    TASK = "What you can do"
    PAPER = "One block, as its paper shows it"


@dataclass(frozen=True)
class PageRow:
    """One page.

    Attributes:
        key: its script's name, its address, and the key of its viewer.
        title: its name in the navigation.
        icon: a Material symbol.
        group: where the start page lists it.
        task: its link on the start page, for the group TASK.
        summary: what is there, in one line, for the group TASK.
        models_key: the key of the widget that chooses its models; "" where there is no choice.
        several_models: whether that widget chooses several.
        own_models: whether it also offers networks of one's own.
        start: the viewer's settings that the page begins with, where it keeps a range and a scale of its own.
        has_picture: whether it looks at the sidebar's picture.
        has_viewer: whether it shows pictures with maps; its link then has pins and zoom.
        former: addresses that the page had before; they lead to it, with all that a link says.
    """

    key: str
    title: str
    icon: str
    group: Group
    task: str = ""
    summary: str = ""
    models_key: str = ""
    several_models: bool = False
    own_models: bool = False
    start: Display | None = None
    has_picture: bool = True
    has_viewer: bool = True
    former: tuple[str, ...] = ()

    @property
    def script(self) -> str:
        """The path of its script, beside app.py."""
        return f"pages/{self.key}.py"

    @property
    def address(self) -> str:
        """Its path on the server; the first page is at the root."""
        return "" if self.key == PAGES[0].key else self.key


PAGES = (
    PageRow("home", "Start", "home", Group.START),
    PageRow(
        "inspect",
        "Inspect",
        "center_focus_strong",
        Group.TASK,
        "Inspect a model",
        "Every map of one model, under the pointer and at the points you pin.",
        models_key="inspect model",
        own_models=True,
    ),
    PageRow("psa", "Point-wise masks (PSANet)", "share_location", Group.PAPER),
    PageRow("snl", "Sampled points (SSANet)", "scatter_plot", Group.PAPER),
    PageRow("sam", "Column attention (AttaNet)", "view_week", Group.PAPER),
    PageRow("fla", "Attended features (FLANet)", "layers", Group.PAPER),
    PageRow(
        "same_pixel",
        "Same pixel",
        "grid_view",
        Group.TASK,
        "Same pixel, every block",
        "Where each model looks from one pixel, on one scale.",
        start=Display(range="shared", scale="log"),
        former=("blocks",),
    ),
    PageRow(
        "cues",
        "Cues",
        "emoji_objects",
        Group.TASK,
        "Cues",
        "Scenes whose correct answer is known: which block finds the cue, and which looks at it.",
        models_key="cues model",
        has_picture=False,
    ),
    PageRow(
        "attribution",
        "Attribution",
        "network_node",
        Group.TASK,
        "Attribution",
        "Gradients and occlusion beside the block's own attention.",
        models_key="attribution model",
        own_models=True,
    ),
    PageRow(
        "compare",
        "Compare",
        "compare",
        Group.TASK,
        "Compare models",
        "Predictions side by side, where they differ, IoU by class.",
        models_key="compare models",
        several_models=True,
        own_models=True,
    ),
    PageRow(
        "many_pictures",
        "Many pictures",
        "photo_library",
        Group.TASK,
        "Many pictures",
        "One model over a folder of pictures; the results as one ZIP.",
        models_key="many_pictures model",
        own_models=True,
        has_picture=False,
        has_viewer=False,
        former=("folder",),
    ),
    PageRow(
        "results",
        "Results",
        "leaderboard",
        Group.TASK,
        "Results",
        "Scores, costs and confusions of the bundled models.",
        has_picture=False,
        has_viewer=False,
    ),
)
ROWS: Mapping[str, PageRow] = {row.key: row for row in PAGES}


def sort_for_sidebar() -> list[PageRow]:
    """The pages in the order of the sidebar and of Start: last those of a single block, which page.css heads.

    Streamlit's own sections put headings into a list where screen readers may not find its links.
    """
    return sorted(PAGES, key=lambda row: row.group is Group.PAPER)


def start_display(page: str) -> Display:
    """The viewer's settings that a page begins with."""
    row = ROWS.get(page)
    return (row.start if row else None) or Display()
