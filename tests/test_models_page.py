"""MODELS.md and the README's scores: every sentence follows from the records, whichever model wins."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from result_cases import put_seed
from safetensors.torch import save_file

from segviz.catalogue import checkpoint_file
from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.catalogue.file_digest import file_digest
from segviz.catalogue.location import checkpoints_folder
from segviz.catalogue.record import (
    SCENES,
    SCENES_WITHOUT_CONTEXT,
    VAL,
    VAL_MULTI_SCALE,
    VAL_WITHOUT_CONTEXT,
    Cost,
    Evaluation,
    Record,
    to_json,
)
from segviz.cli.arguments import ALL_MODELS
from segviz.cli.parser import build_parser
from segviz.data.classes import CAMVID
from segviz.models.registry import MODELS
from segviz.results.findings import context_findings, context_section, fla_section, seeds_section
from segviz.results.how_trained import EVALUATE, FULL_RUN, measure_command
from segviz.results.models_page import models_page, scores_table
from segviz.results.seeds import Runs, find_runs

FOUR = ("fla", "channel_nl", "spatial_nl", "dual_nl")


def evaluation(miou: float, **changes: object) -> Evaluation:
    iou = dict.fromkeys(CAMVID.names, miou)
    borders = {name: miou / 2 if name != "Pole" else None for name in CAMVID.names}
    counts = tuple((1,) * len(CAMVID.names) for _ in CAMVID.names)
    return replace(Evaluation("camvid val", 101, miou, 0.9, iou, borders, counts), **changes)  # type: ignore[arg-type]


def record(name: str, miou: float = 0.7, loss: float | None = 0.02, **changes: object) -> Record:
    """A whole record; without its context the model scores `loss` less, or was not scored."""
    scores = {
        VAL: evaluation(miou),
        SCENES: evaluation(miou + 0.05, data="50 drawn scenes", images=50),
        VAL_MULTI_SCALE: evaluation(miou + 0.01, scales=(0.5, 1.0, 1.75), flip=True),
    }
    if loss is not None and MODELS[name].maps:
        scores[VAL_WITHOUT_CONTEXT] = evaluation(miou - loss, context=False)
    made = Record(
        name, CAMVID.names, "mobilenetv2_100", 8, f"python -m segviz train --model {name}", "camvid train",
        "base.safetensors", ("python -m segviz train --model fcn",), 0, 400, 12.5, "two cores", "2026-11-20",
        {"torch": "2.15.0"}, {"block.gamma": -0.25} if MODELS[name].maps else {}, scores,
        Cost((360, 480), 74.4, 120.2, 9.123, 2_700_000, "a | processor"),
    )  # fmt: skip
    return replace(made, **changes)  # type: ignore[arg-type]


def put(folder: Path, one: Record, file: str | None = None) -> Path:
    path = folder / f"{file or one.model}.safetensors"
    save_file({"weight": torch.zeros(1)}, path, {checkpoint_file.RECORD_KEY: to_json(one)})
    return path


def runs(*records: Record) -> dict[str, tuple[Record, ...]]:
    return {name: tuple(one for one in records if one.model == name) for name in dict.fromkeys(
        one.model for one in records
    )}  # fmt: skip


def four(**mious: float) -> dict[str, tuple[Record, ...]]:
    return runs(*(record(name, mious.get(name, 0.7)) for name in FOUR))


def row_of(page: str, section: str, name: str) -> list[str]:
    """The cells of a model's row in the first table after a heading."""
    (line,) = re.findall(rf"^\| `{name}` \|.*$", page.split(f"# {section}\n", 1)[1].split("\n#", 1)[0], re.MULTILINE)
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[2:-1]]


# ---- the tables --------------------------------------------------------------------------------------------


def test_the_readme_s_row_holds_every_score(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    head, _, row = scores_table(tmp_path).splitlines()
    assert head == (
        "| Model | Block | Paper | Val mIoU | Multi-scale, flip | Drawn scenes | Without context | Scores are |"
    )  # fmt: skip
    assert row == "| `fla` | Fully attentional block | FLANet, AAAI 2022 | 70.0 | 71.0 | 75.0 | 68.0 | one seed |"


def test_what_was_not_measured_is_a_dash(tmp_path: Path) -> None:
    put(tmp_path, record("fla", evaluations={}, cost=None, gammas={}))
    page = models_page(tmp_path)
    assert row_of(page, "Scores", "fla") == ["Fully attentional block", "–", "–", "–", "–", "–", "–"]
    assert row_of(page, "Do the blocks do anything?", "fla") == ["–", "–", "–", "–", "–"]
    assert row_of(page, "Cost", "fla") == ["–"] * 6
    assert row_of(page, "IoU, CamVid val", "fla") == ["–"] * 11
    assert "was not measured for `fla`." in page
    assert "nan" not in page.lower() and "None" not in page


def test_the_page_holds_scores_costs_and_classes(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    page = models_page(tmp_path)
    assert row_of(page, "Scores", "fla")[1:] == ["70.0", "71.0", "75.0", "35.0", "90.0", "one seed"]
    assert row_of(page, "Do the blocks do anything?", "fla") == ["-0.25", "70.00", "68.00", "-2.00", "–"]
    assert row_of(page, "Cost", "fla") == ["9.12", "2,700,000", "74", "120", "480 x 360", "a \\| processor"]
    assert row_of(page, "IoU, CamVid val", "fla") == ["70.0"] * 11
    assert row_of(page, "Boundary IoU, CamVid val", "fla") == ["35.0"] * 2 + ["–"] + ["35.0"] * 8
    assert row_of(page, "IoU, drawn scenes", "fla") == ["75.0"] * 11
    assert "a picture at 0.5, 1, 1.75 times its size, each also mirrored" in page
    assert "camvid val (101 pictures)" in page and "Drawn scenes: 50 drawn scenes.\n" in page


def test_the_page_says_how_each_file_was_made(tmp_path: Path) -> None:
    path = put(tmp_path, record("fla"))
    put(tmp_path, record("sam"))
    (tmp_path / "fla.csv").touch()
    page = models_page(tmp_path)
    assert row_of(page, "Training", "fla") == [
        "0", "400", "12.5", "two cores", "2026-11-20", "base.safetensors", "camvid train"
    ]  # fmt: skip
    assert page.count("python -m segviz train --model fcn\n") == 1  # the common ancestor's command, once
    assert "python -m segviz train --model fla\npython -m segviz train --model sam\n" in page
    assert "Versions: torch 2.15.0." in page
    assert "[fla.csv](fla.csv).\nNot kept: sam.csv." in page
    assert f"| `fla.safetensors` | {path.stat().st_size} | `{file_digest(path)}` |" in page


def test_the_page_states_data_and_licences(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    page = " ".join(models_page(tmp_path).split())
    for words in (
        "personal and research use",
        "drawn scenes",
        "Apache-2.0",
        "chosen on val",
        "test split was not used",
    ):
        assert words in page


def test_the_full_run_s_commands_are_understood_and_keep_each_seed_s_record(tmp_path: Path) -> None:
    page = models_page(tmp_path)
    assert "There are no checkpoints." in page and FULL_RUN in page
    assert f"for model in {' '.join(MODELS)}; do\n" in page
    filled = FULL_RUN.replace("$run", "$model-seed$seed").replace("$model", "fla").replace("$seed", "2")
    typed = [line.strip().removeprefix("python -m segviz ") for line in filled.splitlines() if "segviz" in line]
    command, _, file = typed[3].partition(" > ")
    assert file == "checkpoints/seeds/fla-seed2.json"
    first, other, score, keep, everyone = (
        build_parser().parse_args(line.split()) for line in (*typed[:3], command, *typed[4:])
    )
    assert (first.seed, first.out, other.seed) == (0, None, 2)
    assert other.out == Path(score.model) == keep.record_of
    assert everyone.model == ALL_MODELS and score.record and everyone.record


# ---- do the blocks do anything? ----------------------------------------------------------------------------


def find(runs: Runs) -> str:
    return " ".join(context_findings(runs))


def test_contexts_that_do_nothing_are_named() -> None:
    found = find(runs(record("fcn"), record("fla", loss=0.0004), record("rcca", loss=-0.0009),
                      record("psa", loss=0.012), record("snl", loss=0.03)))  # fmt: skip
    assert "The context of `fla` and `rcca` can be removed without loss on val" in found
    assert "(2 of 4 blocks)" in found  # fcn has no block
    assert "Switching the context off costs 2 of 4 blocks 1.20 to 3.00 points of val mIoU." in found
    assert "rises without" not in found and "ot measur" not in found


@pytest.mark.parametrize(("loss", "idle"), [(0.0009, True), (0.001, False), (-0.0009, True), (-0.001, True)])
def test_a_tenth_of_a_point_is_a_loss(loss: float, idle: bool) -> None:
    assert ("without loss" in find(runs(record("fla", 0.7, loss)))) == idle


def test_a_context_that_harms_is_named() -> None:
    found = find(runs(record("fla", loss=-0.02)))
    assert found.startswith("The context of `fla` can be removed without loss on val: mIoU falls by less than 0.1")
    assert found.endswith("On val, mIoU rises without the context of `fla` (2.00 points).")


def of_seeds(name: str, *losses: float) -> tuple[Record, ...]:
    """Records of a model, one seed for each loss of its context."""
    return tuple(record(name, loss=loss, seed=seed) for seed, loss in enumerate(losses))


@pytest.mark.parametrize(
    ("losses", "words"),
    [
        ((0.0113, -0.0059), "`fla` −0.27 ± 1.22 points (2 seeds)"),
        ((-0.0002, -0.0022), "`fla` +0.12 ± 0.14 points (2 seeds)"),
    ],
)
def test_a_change_within_its_spread_is_neither_a_loss_nor_a_gain(losses: tuple[float, ...], words: str) -> None:
    found = find({"fla": of_seeds("fla", *losses), "psa": of_seeds("psa", 0.01, 0.012)})
    assert f"Not measurable on val, because the change lies within its spread between seeds: {words}." in found
    assert "costs 1 of 2 blocks 1.10 points" in found
    assert "without loss" not in found and "rises" not in found and "can be removed" not in found


@pytest.mark.parametrize("losses", [(0.0012, 0.0002), (0.0,), (-0.0030, -0.0020)])
def test_a_small_change_of_a_small_spread_is_none(losses: tuple[float, ...]) -> None:
    found = find({"fla": of_seeds("fla", *losses)})
    assert "The context of `fla` can be removed without loss" in found and "Not measurable" not in found


def test_a_loss_on_drawn_scenes_is_told_where_val_settles_nothing() -> None:
    seeds = of_seeds("fla", 0.0112, -0.0059)
    for each, loss in zip(seeds, (0.0063, 0.0031), strict=True):
        each.evaluations[SCENES_WITHOUT_CONTEXT] = evaluation(0.75 - loss, data="50 drawn scenes", images=50)  # type: ignore[index]
    assert "On the drawn scenes, mIoU falls without the context of `fla` (0.47 points)." in find({"fla": seeds})
    seeds[1].evaluations[SCENES_WITHOUT_CONTEXT] = evaluation(0.76, data="50 drawn scenes", images=50)  # type: ignore[index]
    assert "drawn scenes" not in find({"fla": seeds})


def test_a_context_that_only_val_can_do_without_is_named() -> None:
    one, other = record("channel_nl", loss=0.0), record("psa", loss=0.0)
    for each, loss in ((one, 0.0101), (other, 0.0)):
        each.evaluations[SCENES_WITHOUT_CONTEXT] = evaluation(0.75 - loss, data="50 drawn scenes", images=50)  # type: ignore[index]
    found = find(runs(one, other))
    assert "The context of `channel_nl` and `psa` can be removed without loss on val" in found
    assert "On the drawn scenes, mIoU falls without the context of `channel_nl` (1.01 points)." in found
    assert "drawn scenes" not in find(runs(other))


def test_several_gammas_are_told_by_their_parts() -> None:
    one = record("dual_nl", gammas={"block.spatial.gamma": 0.1234, "block.channel.gamma": -2.0})
    assert "| spatial 0.123, channel -2 |" in context_section(runs(one))


# ---- FLANet's comparison, and seeds ------------------------------------------------------------------------


def test_the_order_is_that_of_the_scores() -> None:
    assert "`fla` 71.00, `dual_nl` 70.50, `channel_nl` 70.00, `spatial_nl` 69.00." in fla_section(
        four(fla=0.71, dual_nl=0.705, spatial_nl=0.69)
    )
    assert "`spatial_nl` 75.00, `channel_nl` 70.00, `dual_nl` 70.00, `fla` 61.00." in fla_section(
        four(fla=0.61, spatial_nl=0.75)
    )


def test_one_seed_bears_no_ranking() -> None:
    told = " ".join(fla_section(four(fla=0.9)).split())
    assert "One seed per model: the means differ by at most 20.00 points" in told
    assert "cannot be told from chance" in told and "not a ranking" in told
    assert "One seed per model." in seeds_section(four())


def test_a_missing_model_is_not_compared() -> None:
    told = fla_section(runs(record("fla"), record("dual_nl", evaluations={})))
    assert "Here `channel_nl`, `spatial_nl` and `dual_nl` have no score on val to compare." in told
    assert "`fla` 70" not in told


def test_seeds_give_means_and_spreads() -> None:
    found = four()
    found["fla"] = tuple(record("fla", miou, seed=seed) for seed, miou in enumerate((0.70, 0.71, 0.72)))
    page = seeds_section(found)
    assert "| `fla` | 0: 70.00, 1: 71.00, 2: 72.00 | 71.00 ± 1.00 |" in page
    assert "| `dual_nl` | 0: 70.00 | 70.00 |" in page
    assert "One seed of `channel_nl`, `spatial_nl` and `dual_nl`: " in fla_section(found)


def test_every_table_of_scores_tells_mean_and_spread(tmp_path: Path) -> None:
    put(tmp_path, record("fla", 0.70, 0.01))
    for seed, miou in ((1, 0.71), (2, 0.72)):
        put_seed(tmp_path, record("fla", miou, 0.01 * (1 + seed), seed=seed))
    readme = scores_table(tmp_path).splitlines()[-1].split(" | ")
    assert readme[3:] == ["71.0 ± 1.0", "72.0 ± 1.0", "76.0 ± 1.0", "69.0 ± 0.0", "mean of 3 seeds |"]
    page = models_page(tmp_path)
    assert row_of(page, "Scores", "fla")[1:5] == ["71.0 ± 1.0", "72.0 ± 1.0", "76.0 ± 1.0", "35.5 ± 0.5"]
    context = row_of(page, "Do the blocks do anything?", "fla")
    assert context == ["-0.25", "71.00 ± 1.00", "69.00 ± 0.00", "-2.00 ± 1.00", "–"]
    assert "Switching the context off costs 1 of 1 blocks 2.00 points of val mIoU." in page


def test_with_seeds_each_difference_stands_beside_its_error() -> None:
    scores = {"fla": (0.72, 0.73), "channel_nl": (0.70, 0.71), "spatial_nl": (0.715, 0.735), "dual_nl": (0.80, 0.81)}
    found = runs(
        *(record(name, miou, seed=seed) for name, own in scores.items() for seed, miou in enumerate(own))
    )  # fmt: skip
    told = fla_section(found)
    assert "`fla` differs from `channel_nl` by +2.00 points (more than twice the standard error of 0.71)" in told
    assert "`spatial_nl` by +0.00 points (at most twice the standard error of 1.12)" in told
    assert "`dual_nl` by -8.00 points (more than twice the standard error of 0.71)" in told
    assert "One seed" not in told


def test_different_lengths_of_training_are_said() -> None:
    found = four()
    assert "different numbers of steps" not in fla_section(found)
    found["fla"] = (record("fla", steps=900),)
    assert "They were trained for different numbers of steps, 400 to 900." in fla_section(found)


# ---- the folder --------------------------------------------------------------------------------------------


def test_further_seeds_are_found_in_their_folder_in_order(tmp_path: Path) -> None:
    put(tmp_path, record("fla"))
    for seed in (10, 2):
        put_seed(tmp_path, record("fla", seed=seed, command=f"train with seed {seed}"))
    put_seed(tmp_path, record("sam", seed=1))  # without sam.safetensors it is nobody's second seed
    assert {name: [one.seed for one in found] for name, found in find_runs(tmp_path).items()} == {"fla": [0, 2, 10]}
    page = models_page(tmp_path)
    assert "train with seed 2\ntrain with seed 10\n" in page
    assert "| `fla` | 0: 70.00, 2: 70.00, 10: 70.00 | 70.00 ± 0.00 |" in page


@pytest.mark.parametrize(
    ("file", "changes", "words"),
    [
        ("fla-seed1", {"seed": 2}, "holds the record of fla with seed 2; rename it to match"),
        ("fla-seed0", {"seed": 0}, "has seed 0, like another record of the model; delete it"),
        ("fla-seed1", {"seed": 1, "steps": 9000}, "has other steps (9000) than the checkpoint of fla (400)"),
        ("fla-seed1", {"seed": 1, "data": "streets"}, "has other data (streets) than the checkpoint of fla (camvid"),
        ("fla-seed1", {"seed": 1, "initial": "b.safetensors"}, "has other first weights (b.safetensors) than the"),
        ("fla-seed1", {"seed": 1, "model": "sam"}, "holds the record of sam with seed 1; rename it to match"),
        ("fla-seed1-old", {"seed": 1}, "belongs to no model; call it NAME-seedN.json"),
        ("flat-seed1", {"seed": 1}, "belongs to no model; call it NAME-seedN.json"),
    ],
)
def test_records_that_are_not_what_they_are_named_are_refused(
    tmp_path: Path, file: str, changes: dict[str, object], words: str
) -> None:
    put(tmp_path, record("fla"))
    path = put_seed(tmp_path, record("fla", **changes), file)
    with pytest.raises(CheckpointError) as caught:
        models_page(tmp_path)
    assert str(caught.value).startswith(str(path)) and words in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"[1]"])
def test_a_further_seed_s_file_that_holds_no_record_is_named(tmp_path: Path, content: bytes) -> None:
    put(tmp_path, record("fla"))
    path = put_seed(tmp_path, record("fla", seed=1))
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"fla-seed1\.json holds no record \(.*; print it again, or delete it"):
        scores_table(tmp_path)


def test_a_checkpoint_under_another_model_s_name_is_refused(tmp_path: Path) -> None:
    path = put(tmp_path, record("fla"), "sam")
    with pytest.raises(CheckpointError, match="holds a 'fla' model, not 'sam'") as caught:
        models_page(tmp_path)
    assert str(caught.value).startswith(str(path))


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    path = put(tmp_path, record("fla"))
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(CheckpointError, match=r"fla\.safetensors is not a whole safetensors file"):
        scores_table(tmp_path)


def test_scores_by_other_protocols_have_a_table_of_their_own(tmp_path: Path) -> None:
    crops = evaluation(0.61, crop=(705, 705), step=2 / 3)
    one = record("psa")
    put(tmp_path, one)
    assert "## Other protocols" not in models_page(tmp_path)
    put(tmp_path, replace(one, evaluations={**one.evaluations, "val, crops of 705 x 705": crops}))
    page = models_page(tmp_path)
    assert "| `psa` | camvid val (101 pictures) | at their own size, crops of 705 x 705 | 61.0 |" in page


def test_the_commands_measure_the_scales_of_the_bundled_scores() -> None:
    for runs in find_runs(checkpoints_folder()).values():
        many = runs[0].evaluations[VAL_MULTI_SCALE]
        scales = ",".join(f"{one:g}" for one in many.scales)
        assert many.flip and f"--multi-scale --scales {scales} " in EVALUATE
        assert f"--multi-scale --scales {scales} " in measure_command(runs[0])
