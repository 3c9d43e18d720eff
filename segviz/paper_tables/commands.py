"""The commands that train and score a row's network as its paper did."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from segviz.evaluation.protocols import SINGLE_SCALE
from segviz.models.networks.rows import NETWORKS
from segviz.models.options import write_setting
from segviz.paper_tables.description import SCORED_KINDS, NetworkChoice, PaperRow, PaperTable, ScoreColumn
from segviz.paper_tables.showing import follow_protocol, words_for_protocol
from segviz.training.imagenet import IMAGENET, UNTRAINED_BODIES

# What stands for the folder of a data set in commands, by its class set.
DATA_WORDS: Mapping[str, str] = MappingProxyType(
    {"cityscapes": "CITYSCAPES", "ade20k": "ADE20K", "voc": "VOC2012", "context59": "PASCAL_CONTEXT"}
)
# As `predict --server-format` calls them; VOC's comp6 is for training on more than its own labels.
SERVER_NAMES: Mapping[str, str] = MappingProxyType({"cityscapes": "cityscapes", "voc": "voc-comp6"})
COMMAND_START = ("python", "-m", "segviz")


@dataclass(frozen=True)
class TableRun:
    """One training of a table: a network with a recipe on a data set.

    Attributes:
        network: the network.
        recipe: its training recipe.
        data: the class set of its data.
        split: what it is trained on.
    """

    network: NetworkChoice
    recipe: str
    data: str
    split: str = "train"

    @property
    def file(self) -> str:
        """The checkpoint's file name; equal runs of several tables share one."""
        options = [f"{name}-{write_setting(value).replace(',', 'x')}" for name, value in self.network.options.items()]
        split = [self.split.replace("_", "-")] if self.split != usual_split(self.data) else []
        return "_".join((self.recipe, self.data, self.network.model, *options, *split)) + ".safetensors"


def usual_split(data: str) -> str:
    """What the papers train on: the train split, and of VOC the augmented one of 10,582 pictures."""
    return "train_aug" if data == "voc" else "train"


def runs_of(table: PaperTable, row: PaperRow) -> tuple[TableRun, ...]:
    """The trainings that a row's scores need, one for each data set; none for a row without a network."""
    if row.network is None:
        return ()
    recipe = row.recipe or table.recipe
    return tuple(TableRun(row.network, recipe, data, row.split or usual_split(data)) for data in table.data_sets)


def train_words(run: TableRun, folder: Path, data: str) -> list[str]:
    """The words of the command that trains a run.

    Args:
        run: the run.
        folder: of the checkpoint that it writes.
        data: the folder of its data set, or what stands for it.
    """
    words = [*COMMAND_START, "train", "--model", run.network.model]
    words += option_words(run.network)
    words += ["--recipe", run.recipe, "--data", data]
    words += ["--init", IMAGENET] if NETWORKS[run.network.model].backbone not in UNTRAINED_BODIES else []
    words += ["--split", run.split] if run.split != "train" else []
    return [*words, "--out", str(folder / run.file)]


def option_words(network: NetworkChoice) -> list[str]:
    """A network's options as words of a command."""
    return [word for name, value in network.options.items() for word in ("--option", f"{name}={write_setting(value)}")]


def evaluate_commands(run: TableRun, file: Path, data: str, columns: Sequence[ScoreColumn]) -> list[list[str]]:
    """The words of the commands that score a checkpoint on val, and record the scores; none if nothing is on val.

    One command scores a single scale and several where only the latter have mirror images.
    """
    asked = {one.multi_scale: follow_protocol(run.recipe, one) for one in columns if one.split == "val"}
    start = [*COMMAND_START, "evaluate", "--model", str(file), "--data", data, "--record"]
    if True in asked and not asked.get(False, asked[True]).flip:
        return [[*start, *words_for_protocol(asked[True], also_single=True)]]
    return [[*start, *words_for_protocol(asked[many])] for many in sorted(asked)]


def score_columns(table: PaperTable, data: str) -> tuple[ScoreColumn, ...]:
    """The columns of a table's scores on a data set."""
    return tuple(
        column.scored
        for column in table.columns
        if column.kind in SCORED_KINDS and column.scored and column.scored.data == data
    )


def table_commands(table: PaperTable, folder: Path, data_folders: Mapping[str, str] | None = None) -> Iterator[str]:
    """All commands that train and score a table's networks, each once, in the order of its rows.

    Args:
        table: the table.
        folder: of the checkpoints.
        data_folders: the folders of its data sets, by their class sets; what stands for the others is in `DATA_WORDS`.
    """
    seen: set[str] = set()
    for row in table.rows:
        for run in runs_of(table, row):
            for words in run_commands(table, run, folder, (data_folders or {}).get(run.data)):
                line = shlex.join(words)
                if line not in seen:
                    seen.add(line)
                    yield line


def server_words(run: TableRun, file: Path, data: str, columns: Sequence[ScoreColumn]) -> list[str]:
    """The words that write a checkpoint's files for the test server of its data; none if nothing is on test.

    The pictures are shown by the protocol; `--scales 1` asks for it where it is a single scale.
    """
    protocol = next((follow_protocol(run.recipe, one) for one in columns if one.split == "test"), None)
    if protocol is None:
        return []
    words = [*COMMAND_START, "predict", data, "--split", "test", "--model", str(file)]
    words += [*words_for_protocol(protocol), *(["--scales", "1"] if protocol.scales == SINGLE_SCALE else [])]
    return [*words, "--server-format", SERVER_NAMES[run.data], "--out", file.stem]


def run_commands(table: PaperTable, run: TableRun, folder: Path, data: str | None = None) -> tuple[list[str], ...]:
    """The words of the commands that train a run, score it on val and write its files for a test server, as needed."""
    data_folder, file, columns = data or DATA_WORDS[run.data], folder / run.file, score_columns(table, run.data)
    served = server_words(run, file, data_folder, columns)
    return (
        train_words(run, folder, data_folder),
        *evaluate_commands(run, file, data_folder, columns),
        *filter(None, [served]),
    )
