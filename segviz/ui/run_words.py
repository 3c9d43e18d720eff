"""What a page says of a run over many pictures: what it was asked, how it ended, and whether that is asked now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from segviz.batch.attention_files import AttentionOptions
from segviz.picture_files.formats import name_formats
from segviz.text import count_words, escape_markdown, join_with_commas, name_text

MOST_FILES_NAMED = 4  # files that a sentence names


@dataclass(frozen=True)
class RunRequest:
    """What a run is asked to do.

    Attributes:
        model: the model's name.
        title: what pages call it.
        files: (id, name) of each uploaded file.
        parts: what is written, as the page names it.
        maps: which attention maps, and how; None for none.
    """

    model: str
    title: str
    files: tuple[tuple[str, str], ...]
    parts: tuple[str, ...]
    maps: AttentionOptions | None = None


def name_files(names: Sequence[str], notes: Sequence[str] = ()) -> str:
    """Files in a sentence, the first few by name.

    Args:
        names: the files.
        notes: what stands in brackets behind each name, if anything.
    """
    named = [name_text(name) for name in names[:MOST_FILES_NAMED]]
    if notes:
        named = [f"{name} ({note})" for name, note in zip(named, notes, strict=False)]
    more = len(names) - len(named)
    return join_with_commas(named) + (f" and {more} more" if more else "")


def no_picture_sentence(files: Sequence[tuple[str, str]]) -> str:
    """Which of the chosen files no run can use, in Markdown.

    Args:
        files: the name, and what the content is, such as "GIF"; at least one.
    """
    named = escape_markdown(name_files(*zip(*files, strict=True)))
    return f"{named} cannot be used. Choose {name_formats()} pictures, or a ZIP of them."


def run_sentence(request: RunRequest, running: bool, current: bool) -> str:
    """Which run is shown, in Markdown.

    Args:
        request: what it was asked.
        running: whether it is at work.
        current: whether the page's controls ask the same.
    """
    lead = "This run" if current else "A run that was started before" if running else "An earlier run"
    files = escape_markdown(name_files([name for _, name in request.files]))
    words = f"{lead}: **{escape_markdown(request.title)}** over {files}; {join_with_commas(request.parts).lower()}."
    return words if current or running else f"{words} Start runs what is chosen above now."


def ended_sentence(good: int, total: int, missing: bool) -> str:
    """How a run over all of its pictures ended.

    Args:
        good: how many pictures are in the ZIP.
        total: how many pictures the run was over.
        missing: whether the page's table names what is missing.
    """
    if not good:
        none = "The picture" if total == 1 else f"None of the {total} pictures"
        return f"{none} could {'not ' if total == 1 else ''}be processed, so there is no ZIP; the table says why."
    words = f"{good} of {count_words(total, 'picture')} {'is' if total == 1 else 'are'} in the ZIP"
    return f"{words}; the table says what is missing, and why." if missing else f"{words}."


def cancelled_sentence(done: int, good: int, total: int) -> str:
    """How far a run was when it was cancelled.

    Args:
        done: how many pictures were finished, failed ones included.
        good: how many of them are in the ZIP.
        total: how many pictures the run was over.
    """
    kept = "what is done is in the ZIP" if good else "there is no ZIP, as no picture was processed"
    return f"Cancelled after {done} of {count_words(total, 'picture')}; {kept}."
