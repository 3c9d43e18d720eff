"""What one forward pass showed: the maps that are kept, and a table of all that was found, with reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from typing import Literal

from torch import nn

from segviz.attention.deformable import DeformableAttention, point_words
from segviz.attention.grid_map import Grid
from segviz.attention.head_map import Cover
from segviz.attention.maps import NetworkMap
from segviz.attention.object_queries import ObjectQueryMap
from segviz.attention.windowed import WindowedAttention, describe_windows
from segviz.runtime.out_of_memory import is_out_of_memory
from segviz.watch.build_map import build_map
from segviz.watch.call import AttentionCall
from segviz.watch.declared_map import build_declared
from segviz.watch.grids import DECLARE_IT, FoldedWindowsError, NotShownError, head_count
from segviz.watch.layout import ObjectQueries, TokenLayout, Windows, describe_order, guess_layout
from segviz.watch.recipes.recipe import Recipe, read_layout
from segviz.watch.record import Declaration
from segviz.watch.sampled_call import SPELLING, SampledCall

LayerState = Literal["kept", "listed", "passed over"]
ROOT = "network"  # the path of attention that a network computes in its own forward, outside of its modules
COMPILED = "it was compiled, so that attention in it cannot be seen; watch the network as it is before torch.compile"
NOT_KEPT = 'choose it with layers="{path}"'
NOT_CHECKED = "as declared, not checked"
FOUND_WINDOWS = "windows found by changing the picture"


@dataclass(frozen=True)
class FoundLayer:
    """One row of the table: an attention call, and what became of it.

    Attributes:
        path: the module's name in the network, with `:2` and so on for its further calls.
        spelling: the function that computed it, or who declared it.
        shape: heads and grids in words; empty where they are not known.
        state: "kept" has a map; "listed" could have one; "passed over" cannot.
        reason: why it has no map; empty for a kept one.
        check: how far what its factors give is from what the call returned, in words; empty where it was passed over.
        places: whether its cells lie where the picture says, in words; empty where that was not asked.
    """

    path: str
    spelling: str
    shape: str
    state: LayerState
    reason: str
    check: str = ""
    places: str = ""

    @property
    def details(self) -> str:
        """Why it has no map, or how its map was checked."""
        return self.reason or "; ".join(filter(None, (self.check, self.places)))


@dataclass
class Findings:
    """Takes what a recorder sees. Only the maps of chosen layers are kept, and without a choice the last one.

    Attributes:
        seen: the (height, width) at which the network sees the picture.
        covers: what part of the picture its grids cover, see `HeadMap`.
        layers: patterns of paths; empty keeps the last map only.
        grid: the grid that the user gave.
        recipes: how to read modules of libraries.
        maps: those that are kept, by name.
        rows: the table, by name.
        declared: paths of the modules that declared their attention; empty for the network's own forward.
        origins: the path of the module that a row is of, by the row's name.
        folded: the calls with folded windows that are not shown and how they were checked, by name; None where they
            are not collected.
    """

    seen: Grid
    covers: Cover
    layers: Sequence[str] = ()
    grid: Grid | None = None
    recipes: tuple[Recipe, ...] = ()
    maps: dict[str, NetworkMap] = field(default_factory=dict)
    rows: dict[str, FoundLayer] = field(default_factory=dict)
    declared: set[str] = field(default_factory=set)
    origins: dict[str, str] = field(default_factory=dict)
    folded: dict[str, tuple[AttentionCall, str]] | None = None

    def take_call(self, call: AttentionCall, difference: float) -> None:
        """Keep, list or pass over a call."""
        if self._is_declared(call.path):
            return
        call = call.rename(self._new_path(call.path))
        try:
            check_difference(difference, call.tolerance)
            check = describe_difference(difference)
            layout = read_layout(self.recipes, call)
            if not isinstance(layout, Windows):
                call = call.join_leading(head_count(call.running) or 1)
            if layout is None:
                layout = guess_layout(call, self.seen, self.grid)
            self._take_layout(call, layout, check)
        except NotShownError as error:
            self._pass_over(call.path, call.spelling, str(error))
            if self.folded is not None and isinstance(error, FoldedWindowsError):
                self.folded[call.path] = call, describe_difference(difference)

    def _take_layout(self, call: AttentionCall, layout: TokenLayout, check: str) -> None:
        if self.layers and not self.is_chosen(call.path):
            self._list(call.path, call.spelling, describe_call(layout, call), check)
            return
        map_ = build_map(call, layout, self.seen, self.covers)
        self._keep(map_, call.spelling, check, describe_order(layout))

    def unfold(self, path: str, windows: Windows) -> None:
        """Keep or list a call of `folded`, whose windows were found afterwards; only the last layer's map is kept."""
        assert self.folded is not None
        (call, check), order = self.folded[path], list(self.rows)
        check = f"{check}; {FOUND_WINDOWS}"
        try:
            if self.layers or all(order.index(kept) < order.index(path) for kept in self.maps):
                self._take_layout(call, windows, check)
            else:
                self._list(path, call.spelling, describe_call(windows, call), check)
        except NotShownError as error:
            self._pass_over(path, call.spelling, str(error))

    def take_samples(self, path: str, call: SampledCall) -> None:
        """Keep, list or pass over a call of deformable attention, in place of its softmax, which was passed over."""
        if self._is_declared(path):
            return
        own = [name for name, row in self.rows.items() if self._origin(name) == path and row.spelling == "softmax"]
        if own:
            del self.rows[own[-1]]
        name = self._new_path(path)
        try:
            difference = call.difference()
            check_difference(difference, call.tolerance)
            check, maps = describe_difference(difference), call.maps(name, self.covers)
        except NotShownError as error:
            self._pass_over(name, SPELLING, str(error))
            return
        for one in maps:
            if self.layers and not self.is_chosen(one.name):
                self._list(one.name, SPELLING, describe_network_map(one), check)
            else:
                self._keep(one, SPELLING, check)

    def pass_over(self, path: str, what: str, reason: str) -> None:
        """Note what looks like attention and cannot be shown."""
        if not self._is_declared(path):
            self._pass_over(self._new_path(path), what, reason)

    def name_compiled(self, model: nn.Module) -> None:
        """Note the compiled modules in which nothing was found: the compiler calls kernels of its own."""
        known = list(self.rows)
        for path, module in model.named_modules():
            if not hasattr(module, "_orig_mod") and getattr(module, "_compiled_call_impl", None) is None:
                continue
            if not any(path == "" or is_within(self._origin(row), path) for row in known):
                self.pass_over(path, "torch.compile", COMPILED)

    def take_declaration(self, path: str, module: nn.Module, declaration: Declaration) -> None:
        """Keep what a block declared, in place of what was found in it."""
        for found, row in list(self.rows.items()):
            if row.spelling != "declared" and is_within(self._origin(found), path):
                del self.rows[found]
                self.maps.pop(found, None)
        self.declared.add(path)
        name = self._new_path(path)
        try:
            map_ = build_declared(name, declaration, self.seen, self.covers)
        except NotShownError as error:
            self._pass_over(name, "declared", str(error))
            return
        except Exception as error:  # the network runs on, whatever it declared
            if is_out_of_memory(error):
                raise
            self._pass_over(name, "declared", f"it could not be read: {error!r}")
            return
        if self.layers and not self.is_chosen(name):
            self._list(name, "declared", describe_network_map(map_), NOT_CHECKED)
        else:
            self._keep(map_, "declared", NOT_CHECKED)

    def _keep(self, map_: NetworkMap, spelling: str, check: str, order: str = "") -> None:
        if not self.layers:
            for path in list(self.maps):
                del self.maps[path]
                row = self.rows[path]
                self._list(path, row.spelling, row.shape, row.check)
        self.maps[map_.name] = map_
        self.rows[map_.name] = FoundLayer(map_.name, spelling, describe_network_map(map_) + order, "kept", "", check)

    def _list(self, path: str, spelling: str, shape: str, check: str) -> None:
        self.rows[path] = FoundLayer(path, spelling, shape, "listed", NOT_KEPT.format(path=path), check)

    def _pass_over(self, path: str, spelling: str, reason: str) -> None:
        self.rows[path] = FoundLayer(path, spelling, "", "passed over", reason)

    def is_chosen(self, path: str) -> bool:
        """Whether a pattern of `layers` fits a path, also of a module that was called several times."""
        return any(fnmatchcase(path, one) or fnmatchcase(path.partition(":")[0], one) for one in self.layers)

    def _is_declared(self, path: str) -> bool:
        return any(is_within(path, one) for one in self.declared)

    def _origin(self, name: str) -> str:
        """The path of the module that a row is of."""
        base = name.partition(":")[0]  # of the levels of a call, which are rows of their own
        return self.origins.get(name, self.origins.get(base, base))

    def _new_path(self, path: str) -> str:
        """The path, or the path with the number of its call."""
        shown = path or ROOT
        calls = (one.partition(":") for one in self.rows)
        count = sum(one == shown and "x" not in number for one, _, number in calls)  # 4x6 is a level of a call
        name = f"{shown}:{count + 1}" if count else shown
        self.origins[name] = path
        return name


def check_difference(difference: float, tolerance: float) -> None:
    """Refuse factors that do not give what a call returned.

    Raises:
        NotShownError: they do not.
    """
    if difference > tolerance:
        raise NotShownError(
            f"its factors differ from what the call returned by {difference:.1e}, so no map is shown; {DECLARE_IT}"
        )


def describe_difference(difference: float) -> str:
    """How closely factors give what a call returned, in words."""
    return f"recomputed to within {max(difference, 1e-7):.0e}"


def is_within(path: str, outer: str) -> bool:
    """Whether a module is another, or a part of it; the network's own forward, "", has no parts."""
    return path == outer or (outer != "" and path.startswith(f"{outer}."))


def describe_network_map(map_: NetworkMap) -> str:
    """Heads and grids in words."""
    heads = f"{map_.heads} head{'s' if map_.heads > 1 else ''}"
    if isinstance(map_, ObjectQueryMap):
        return f"{heads}, {map_.query_count} object queries, keys {map_.grid[0]} x {map_.grid[1]}"
    if isinstance(map_, DeformableAttention):
        return f"{heads}, {describe_grids(map_.grid, map_.key_grid)}, {point_words(map_.weights)}"
    if isinstance(map_, WindowedAttention):
        return f"{heads}, {describe_grids(map_.grid, map_.key_grid)}, {map_.window_words}"
    return f"{heads}, {describe_grids(map_.grid, map_.key_grid)}{describe_prefix(getattr(map_, 'key_prefix', 0))}"


def describe_call(layout: TokenLayout, call: AttentionCall) -> str:
    """The same of a layout whose map was not built."""
    if isinstance(layout, ObjectQueries):
        return f"{call.tokens} object queries"
    if isinstance(layout, Windows):
        return f"{describe_grids(layout.grid, layout.key_grid)}, {describe_windows(layout.window, layout.shift)}"
    prefix = layout.key_prefix
    return describe_grids(layout.grid, layout.key_grid) + describe_prefix(prefix) + describe_order(layout)


def describe_grids(grid: Grid, key_grid: Grid) -> str:
    """Grids in words."""
    keys = f", keys {key_grid[0]} x {key_grid[1]}" if key_grid != grid else ""
    return f"{grid[0]} x {grid[1]}{keys}"


def describe_prefix(count: int) -> str:
    """Prefix tokens in words."""
    return f" + {count} token{'s' if count > 1 else ''} off the picture" if count else ""
