"""What values have that the live viewer can show: in a notebook, and as one file."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from segviz.atomic_write import write_atomically

if TYPE_CHECKING:
    from segviz.viewer.page_content import WebPage

MOST_MEGABYTES = 8.0


class Viewable(ABC):
    """A value that displays itself in a notebook as the live viewer, and is saved as one HTML file."""

    @abstractmethod
    def web_page(self, maps: str | Sequence[str] | None = None, title: str = "", picture: str = "") -> WebPage:
        """The page that shows the value.

        Args:
            maps: which maps: a pattern of names, such as "blocks.*.attn", or several; by default all.
            title: the heading; by default it names the network.
            picture: the picture's name; by default its file's, where the picture was given as a path.

        Raises:
            ValueError: a pattern fits no map, or there is nothing to draw.
        """

    def save(
        self,
        path: str | Path,
        *,
        maps: str | Sequence[str] | None = None,
        title: str = "",
        picture: str = "",
        most_megabytes: float = MOST_MEGABYTES,
    ) -> None:
        """Write the live viewer as one HTML file, which works in any browser without a network.

        Args:
            path: where to write it, such as "attention.html".
            maps: which maps: a pattern of names, such as "blocks.*.attn", or several; by default all.
            title: the heading; by default it names the network.
            picture: the picture's name, for the reader; by default its file's, where it was given as a path.
            most_megabytes: the largest file.

        Raises:
            ValueError: a pattern fits no map, or the file would be too large.
            OSError: the file cannot be written.
        """
        from segviz.viewer.web_page import page_html

        document = page_html(self.web_page(maps, title, picture), int(most_megabytes * 1e6))
        write_atomically(Path(path), document.encode())

    def _repr_html_(self) -> str | None:
        """The live viewer in a notebook; maps that do not fit into 8 MB are left out, and the page says so.

        None where there is nothing to draw: a notebook then shows the text.
        """
        from segviz.viewer.web_page import iframe_html, page_that_fits

        try:
            page = self.web_page()
        except ValueError:
            return None
        return iframe_html(page_that_fits(page), page)


def choose_maps(names: Sequence[str], patterns: str | Sequence[str] | None) -> list[str]:
    """The names that a pattern fits; all without one.

    Raises:
        ValueError: a pattern fits none.
    """
    if patterns is None:
        return list(names)
    wanted = [patterns] if isinstance(patterns, str) else list(patterns)
    for pattern in wanted:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"maps='{pattern}' fits no map; maps are {', '.join(names) or 'none'}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in wanted)]
