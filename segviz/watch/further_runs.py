"""What further runs of a network on changed pictures tell: where folded windows lie, and whether cells are in place."""

from __future__ import annotations

from collections.abc import Callable, MutableMapping

from segviz.attention.grid_map import Grid
from segviz.image import Rgb
from segviz.watch.call import AttentionCall
from segviz.watch.findings import Findings
from segviz.watch.fit_windows import fit_windows
from segviz.watch.layout import Windows
from segviz.watch.probe_places import probe_places
from segviz.watch.verify_places import change_spots, compare_places

WindowsKey = tuple[str, tuple[int, ...], Grid]  # a call's name, the shape of its queries, and the network's input
FoundWindows = MutableMapping[WindowsKey, Windows | None]  # None where none were found
RunOn = Callable[[Rgb], Findings]  # on a picture of the same size


def look_again(
    findings: Findings, picture: Rgb, run: RunOn, windows: FoundWindows | None, *, verify_places: bool
) -> None:
    """Find folded windows and verify places, as far as each is asked for.

    Args:
        findings: what the network computed for the picture; changed.
        picture: at its own size.
        run: the network on another picture.
        windows: those of earlier pictures, to which those that are found are added; None where none are to be found.
        verify_places: whether to verify the places of the kept maps.
    """
    if windows is not None:
        unfold_windows(findings, picture, run, windows)
    if verify_places:
        changed = run(change_spots(picture))
        if windows is not None:
            keep_windows(changed, windows)
        compare_places(findings, changed)


def unfold_windows(findings: Findings, picture: Rgb, run: RunOn, windows: FoundWindows) -> None:
    """Find the windows of folded calls, which depend on the input's size alone, and keep or list their maps."""
    unknown = {
        path: call for path, call in folded_calls(findings).items() if windows_key(path, call, findings) not in windows
    }
    if unknown:
        places = probe_places(unknown, picture, lambda other: folded_calls(run(other)))
        for path, call in unknown.items():
            each = places.get(path)
            fit = None if each is None else fit_windows(call, each, findings.seen, findings.covers)
            windows[windows_key(path, call, findings)] = fit
    keep_windows(findings, windows)


def keep_windows(findings: Findings, windows: FoundWindows) -> None:
    """Keep or list the maps of folded calls whose windows are known."""
    for path, call in folded_calls(findings).items():
        known = windows.get(windows_key(path, call, findings))
        if known is not None:
            findings.unfold(path, known)


def folded_calls(findings: Findings) -> dict[str, AttentionCall]:
    """The calls with folded windows, by name."""
    return {path: call for path, (call, _) in (findings.folded or {}).items()}


def windows_key(path: str, call: AttentionCall, findings: Findings) -> WindowsKey:
    """What a call's windows depend on."""
    return path, tuple(call.queries.shape), findings.seen
