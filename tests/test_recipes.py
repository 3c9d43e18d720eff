"""Recipes: the papers' numbers, what overrides them, what they do to a training, and what is refused before it."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from segviz.catalogue.checkpoint_file import read_record
from segviz.catalogue.record import Record
from segviz.cli import main
from segviz.cli.parser import build_parser, typed_options
from segviz.cli.train_command import describe_length, describe_protocol_of_paper, recipe_rows, resolve_training
from segviz.data.classes import CAMVID
from segviz.data.sample import Sample, Split
from segviz.models.networks.rows import NETWORKS
from segviz.models.options import OptionValue
from segviz.models.registry import build
from segviz.training.auxiliary import count_channels, make_auxiliary_heads, run_with_features
from segviz.training.auxiliary_points import AUXILIARY_POINTS
from segviz.training.checks import check_options
from segviz.training.loop import resolve_epochs
from segviz.training.masks import describe_masks, fit_masks
from segviz.training.optimizer import make_optimizer
from segviz.training.options import TrainOptions, poly_rate
from segviz.training.recipes import RECIPES, recipe_values
from segviz.training.run import TrainingRun
from segviz.training.view_range import Scales

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "recipes.md").read_text()
SGD = {"optimizer": "sgd", "momentum": 0.9, "power": 0.9, "mirror": True}
RANGE = Scales((0.5, 2.0), between=True)
# Read in the papers: rate, weight decay, batch, length, crop, scales.
READ = {
    ("flanet", "cityscapes"): (1e-2, 5e-4, 8, 240, (768, 768), RANGE),
    ("flanet", "ade20k"): (1e-2, 5e-4, 8, 240, (520, 520), RANGE),
    ("flanet", "voc"): (1e-2, 5e-4, 8, 240, (520, 520), RANGE),
    ("attanet", "cityscapes"): (1e-2, 5e-4, 16, 200_000, (1024, 1024), "0.75,1,1.5,1.75,2"),
    ("attanet", "ade20k"): (1e-2, 5e-4, 32, 250_000, (512, 512), "0.75,1,1.5,1.75,2"),
    ("ssanet", "context"): (5e-3, 1e-4, None, None, (480, 480), None),
    ("ssanet", "ade20k"): (5e-3, 1e-4, None, None, (520, 520), None),
    ("ssanet", "cityscapes"): (5e-3, 1e-4, None, None, (769, 769), None),
    ("psanet", "ade20k"): (1e-2, 1e-4, 16, 150_000, None, RANGE),
    ("psanet", "voc"): (1e-2, 1e-4, 16, 30_000, None, RANGE),
    ("psanet", "cityscapes"): (1e-2, 1e-4, 16, 90_000, None, RANGE),
}


@pytest.mark.parametrize(("name", "layout"), READ)
def test_recipes_have_the_papers_numbers(name: str, layout: str) -> None:
    values = recipe_values(name, layout)
    rate, decay, batch, length, crop, scales = READ[name, layout]
    assert SGD.items() <= values.items() and (values["rate"], values["weight_decay"]) == (rate, decay)
    found = {"batch": values["batch"], "crop": values["crop"], "length": values.get("epochs", values.get("steps"))}
    for key, number in {"batch": batch, "crop": crop, "length": length}.items():
        assert number is None or found[key] == number
    assert scales is None or str(values["scales"]) == str(scales)


def test_recipes_have_the_papers_auxiliary_losses_and_views() -> None:
    assert recipe_values("attanet", "cityscapes")["auxiliary"] == {"eighth": 1.0, "reduced": 1.0}
    assert recipe_values("psanet", "voc")["auxiliary"] == {"middle": 0.4}
    assert recipe_values("flanet", None)["auxiliary"] == recipe_values("ssanet", None)["auxiliary"] == {}
    turned = [recipe_values("psanet", layout)["rotation"] for layout in ("ade20k", "voc", "cityscapes")]
    blurred = [bool(recipe_values("psanet", layout)["blur"]) for layout in ("ade20k", "voc", "cityscapes")]
    assert turned == [10, 10, 0] and blurred == [True, True, False]
    assert recipe_values("segviz", "cityscapes") == {}


def test_every_setting_of_a_recipe_is_an_option_of_training() -> None:
    known = {one.name for one in dataclasses.fields(TrainOptions)}
    for recipe in RECIPES.values():
        for settings in (recipe.settings, *recipe.by_data.values()):
            assert set(settings) <= known and all(setting.source for setting in settings.values())


# ---- the command line --------------------------------------------------------------------------------------


def typed(*words: str) -> argparse.Namespace:
    line = ["train", "--model", "sam", "--data", "nowhere", *words]
    options = build_parser().parse_args(line)
    options.given, options.typed = typed_options(line), "python -m segviz " + " ".join(line)
    return options


def resolved(*words: str) -> TrainOptions:
    return resolve_training(typed(*words), Path("sam.safetensors"))


def test_without_a_recipe_training_has_its_defaults() -> None:
    options = resolved()
    assert options == TrainOptions("sam", Path("nowhere"), Path("sam.safetensors"), command=options.command)


def test_a_recipe_follows_the_data_set_and_typed_options_override_it(tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit").mkdir()
    words = ("--recipe", "attanet", "--data", str(tmp_path))
    options = resolved(*words, "--batch", "4", "--auxiliary", "middle=0.5")
    assert (options.batch, options.crop, options.steps, options.rate) == (4, (1024, 1024), 200_000, 1e-2)
    assert options.auxiliary == {"middle": 0.5} and not options.part_rates and options.recipe == "attanet"
    assert str(resolved(*words).scales) == "0.75,1,1.5,1.75,2" and resolved(*words, "--auxiliary").auxiliary == {}
    assert resolved("--recipe", "attanet").crop == (512, 512)


def test_typed_steps_take_the_place_of_a_recipe_s_epochs_and_the_other_way_round() -> None:
    assert resolved("--recipe", "flanet").epochs == 240
    assert (resolved("--recipe", "flanet", "--steps", "9").epochs, resolved("--steps", "9").steps) == (None, 9)
    assert resolved("--recipe", "psanet", "--epochs", "2").epochs == 2


def test_epochs_are_steps_of_whole_batches() -> None:
    options = TrainOptions("sam", Path("a"), Path("b"), epochs=2.0, batch=8)
    assert resolve_epochs(options, 2975).steps == 744  # 5,950 pictures in batches of 8
    assert resolve_epochs(dataclasses.replace(options, epochs=None), 2975).steps == options.steps


WRONG = [
    (("--steps", "5", "--epochs", "2"), 2, "--steps and --epochs both say how long"),
    (("--momentum", "0.8"), 2, "--momentum belongs to sgd; give --optimizer sgd"),
    (("--auxiliary", "--auxiliary-stride", "2"), 2, "--auxiliary-stride needs auxiliary losses"),
    (("--auxiliary", "context=1", "--auxiliary-width", "8"), 2, "--auxiliary-width belongs to auxiliary losses other"),
    (("--recipe", "psanet", "--scene-share", "0.5"), 2, "--scene-share needs drawn scenes"),
    (("--recipe", "psa"), 2, "invalid choice: 'psa'"),
    (("--auxiliary", "deep=1"), 2, "'deep=1' is not an auxiliary loss; write POINT=WEIGHT with eighth, middle"),
    (("--auxiliary", "middle=x"), 2, "'x' is out of range"),
    (("--scales", "2-0.5"), 2, "begins with its larger scale"),
    (("--scales", "a,b"), 2, "'a,b' is not a range or list of scales"),
    (("--ohem", "0.7"), 1, "--ohem 0.7 and --hard-share 0.3 both choose the pixels that count; add --hard-share 1"),
    (("--parts", "17"), 1, "--parts 17 is more than the 16 pictures that a process has in each step; use fewer"),
    (("--parts", "2", "--batch", "1"), 1, "--parts 2 is more than the 1 picture that a process has in each step"),
    (("--option", "points=49"), 1, "has no option 'points'"),
    (("--option", "strips"), 1, "has no value; write NAME=VALUE"),
]


@pytest.mark.parametrize(("words", "code", "told"), WRONG)
def test_options_that_do_not_go_together_are_refused_before_anything_is_read(
    words: tuple[str, ...], code: int, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    line = ["train", "--model", "sam", "--data", str(tmp_path), "--out", str(tmp_path / "a.safetensors"), *words]
    try:
        ended = main.main(line)
    except SystemExit as end:  # argparse
        ended = int(end.code or 0)
    said = capsys.readouterr().err
    assert ended == code and told in said and said.count("segviz: ") <= 2 and "Traceback" not in said


def test_a_batch_that_processes_cannot_share_is_refused() -> None:
    options = TrainOptions("sam", Path("a"), Path("b"), batch=6)
    check_options(options, 3)
    with pytest.raises(ValueError, match="a batch of 6 cannot be shared equally by 4 processes; use a multiple of 4"):
        check_options(options, 4)


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_that_recipes_print_can_be_typed(name: str) -> None:
    for option, value, _, _ in recipe_rows(RECIPES[name], None):
        options = typed(option, *value.split())
        assert len(options.given - {"model", "data", "subcommand"}) == 1


def test_a_recipe_s_start_is_shown_and_random_weights_are_told(capsys: pytest.CaptureFixture[str]) -> None:
    for name, recipe in RECIPES.items():
        rows = [row for row in recipe_rows(recipe, "cityscapes") if row[0] == "--init"]
        assert [row[1] for row in rows] == ([] if name == "segviz" else ["imagenet"])
    warning = "starts from ImageNet weights"
    for words, warned in (
        ("--recipe flanet", True), ("--recipe flanet --init imagenet", False),
        ("--recipe attanet --model attanet_df1", False),
        ("--recipe attanet --model attanet_r18", True), ("--recipe segviz", False),
    ):  # fmt: skip
        resolved(*words.split())
        assert (warning in capsys.readouterr().err) == warned, words


def test_ssanet_samples_as_many_places_as_the_paper_has_for_the_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    city, ade = tmp_path / "city", tmp_path / "ade"
    (city / "leftImg8bit").mkdir(parents=True)
    (ade / "images" / "training").mkdir(parents=True)
    words = ("--recipe", "ssanet", "--model", "ssanet_mbv2", "--data")
    assert resolved(*words, str(city)).options == {}  # 81
    assert "points" not in capsys.readouterr().err
    assert resolved(*words, str(ade)).options == {"points": 49}
    assert "--option points=49 as for ADE20K: section 4: for the smaller crops" in capsys.readouterr().err
    assert resolved(*words, "nowhere").options == {"points": 49}
    assert resolved(*words, str(ade), "--option", "points=81").options == {"points": 81}
    assert resolved(*words, str(ade), "--option", "block=nl").options == {"block": "nl"}


def test_drawn_scenes_are_left_out_where_the_data_have_other_classes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "leftImg8bit" / "train").mkdir(parents=True)
    assert resolved("--data", str(tmp_path)).scenes == 0
    assert "drawn scenes have CamVid's classes, which this data set lacks" in capsys.readouterr().err
    assert resolved("--data", str(tmp_path), "--scenes", "9").scenes == 9  # is refused by the training
    assert resolved().scenes == 4000


def test_the_score_at_the_end_names_the_paper_s_protocol(tmp_path: Path) -> None:
    (tmp_path / "leftImg8bit").mkdir()
    data = str(tmp_path)
    wanted = {
        "flanet": "",
        "attanet": "--input-size 512,1024",
        "ssanet": "--crop 769 769",
        "psanet": "--crop 705 705 --long-side 2048 --flip",
    }
    for name, words in wanted.items():
        told = describe_protocol_of_paper(resolved("--recipe", name, "--data", data))
        assert told.endswith(f"evaluate --model sam.safetensors --data {data} --record {words}" if words else "")
        assert bool(told) == bool(words)
    cropped = resolved("--recipe", "psanet", "--data", data, "--crop", "465", "465")
    assert "--crop 465 465" in describe_protocol_of_paper(cropped)  # which its masks cover
    build_parser().parse_args(shlex.split(describe_protocol_of_paper(cropped).partition("segviz ")[2]))


def test_flanet_trained_on_ade20k_and_voc_too() -> None:
    layouts = ("cityscapes", "ade20k", "voc")
    assert tuple(RECIPES["flanet"].choose(layout) for layout in layouts) == layouts


def test_the_length_of_a_training_is_told_in_whole_words() -> None:
    record = Record("fcn", ("a", "b"), "mobilenetv2_100", 8, steps=1, minutes=0.0)
    assert describe_length(record) == "1 step in a few seconds"
    assert describe_length(dataclasses.replace(record, steps=400, minutes=1.0)) == "400 steps in 1 minute"
    assert describe_length(dataclasses.replace(record, steps=400, minutes=9.5)) == "400 steps in 9.5 minutes"


def test_an_unknown_option_of_a_command_names_its_own_help(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        typed("--mirror", "yes")
    assert "unrecognized arguments: yes; see `python -m segviz train --help`" in capsys.readouterr().err


# ---- PSA's masks and the crops of a training ---------------------------------------------------------------


def psanet(layout: str, model: str = "psanet_r50", **options: OptionValue) -> TrainOptions:
    values = recipe_values("psanet", layout)
    return TrainOptions(model, Path("a"), Path("b"), options=options, **values)  # type: ignore[arg-type]


def test_masks_cover_the_crops_of_the_recipe_as_it_says() -> None:
    (note,) = (note for note in RECIPES["psanet"].notes if "masks" in note)
    for layout, side, crop in (("cityscapes", 89, 705), ("ade20k", 59, 465), ("voc", 59, 465)):
        fitted = fit_masks(psanet(layout))
        assert fitted.options == {"mask": (side, side)} and fitted.crop == (crop, crop) and not describe_masks(fitted)
        assert f"{side} x {side} cells at {crop}" in note or f"{side} x {side} at {crop}" in note
    assert fit_masks(psanet("cityscapes", mask=(0, 0))).options["mask"] == (89, 89)
    assert fit_masks(psanet("cityscapes", compact=True)).options["mask"] == (45, 45)
    assert fit_masks(psanet("cityscapes", shrink=1)).options["mask"] == (177, 177)
    assert fit_masks(dataclasses.replace(psanet("cityscapes"), output_stride=16)).options["mask"] == (45, 45)
    assert fit_masks(dataclasses.replace(psanet("ade20k"), crop=(64, 96))).options["mask"] == (7, 11)
    with torch.device("meta"):
        assert NETWORKS["psanet_r50"].build(19, options={"mask": (89, 89)}).expects.crop == (705, 705)


def test_what_is_given_stays_and_masks_that_are_too_small_are_told() -> None:
    for options in (psanet("cityscapes", block="none"), psanet("cityscapes", "fcn"), psanet("cityscapes", "psa")):
        assert fit_masks(options) is options
    given = fit_masks(psanet("cityscapes", mask=(59, 59)))
    assert given.options == {"mask": (59, 59)}
    assert describe_masks(given) == (
        "masks of 59 x 59 cells do not cover crops of 705 x 705, which need 89 x 89: cells beyond them have the logit "
        "0; --option mask=89,89 covers them"
    )
    assert "cells beyond them have no weight" in describe_masks(psanet("cityscapes", "psa"))
    assert not describe_masks(psanet("cityscapes", mask=(101, 89))) and not describe_masks(psanet("voc", "fcn"))
    assert not describe_masks(TrainOptions("psa", Path("a"), Path("b")))
    with pytest.raises(ValueError, match=r"compact masks of 30 x 30 .* crops of 705 x 705 need 45 x 45; give --option"):
        describe_masks(psanet("cityscapes", compact=True, mask=(30, 30)))


def test_recipes_are_shown_with_their_sources(capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["recipes"]) == 0
    shown = capsys.readouterr().out
    assert all(f"{name}: {recipe.title}" in shown for name, recipe in RECIPES.items())
    assert main.main(["recipes", "attanet", "--for", "cityscapes"]) == 0
    shown = capsys.readouterr().out
    assert re.search(r"--crop +1024 1024 +Cityscapes +Training Settings", shown) and "512" not in shown
    assert main.main(["recipes", "psanet", "--json"]) == 0
    (told,) = json.loads(capsys.readouterr().out)
    wanted = {"option": "--steps", "value": "90000", "data_set": "Cityscapes", "source": "section 4.1"}
    assert wanted in told["settings"]


# ---- what a recipe does to a training ----------------------------------------------------------------------


def test_the_rate_falls_by_the_poly_rule() -> None:
    options = TrainOptions("sam", Path("a"), Path("b"), rate=0.01, warm_up=0.0)
    assert poly_rate(options, 0.0) == 0.01 and poly_rate(options, 1.0) == 0
    assert poly_rate(options, 0.25) == pytest.approx(0.01 * 0.75**0.9)
    own = dataclasses.replace(options, warm_up=0.03)
    assert poly_rate(own, 0.0) == pytest.approx(0.01 * 1e-3 / 0.03) and poly_rate(own, 0.5) == poly_rate(options, 0.5)


def test_sgd_has_momentum_and_one_rate() -> None:
    options = TrainOptions("fcn", Path("a"), Path("b"), **recipe_values("attanet", None))  # type: ignore[arg-type]
    network = build("fcn", 3)
    optimizer = make_optimizer(options, network, torch.device("cpu"))
    (group,) = optimizer.param_groups
    assert isinstance(optimizer, torch.optim.SGD) and len(group["params"]) == len(list(network.parameters()))
    assert (group["lr"], group["momentum"], group["weight_decay"], group["scale"]) == (1e-2, 0.9, 5e-4, 1.0)
    assert len(optimizer.state) == len(group["params"])  # its momentum is there before the first step
    own = make_optimizer(TrainOptions("fcn", Path("a"), Path("b")), network, torch.device("cpu"))
    assert isinstance(own, torch.optim.AdamW) and {one["scale"] for one in own.param_groups} == {0.4, 1.0}


@pytest.mark.parametrize("name", ["sam", "attanet_r18"])
def test_each_place_has_features_of_which_a_head_makes_logits(name: str) -> None:
    network = build(name, 3).eval()
    channels = count_channels(network)
    heads = make_auxiliary_heads(network, dict.fromkeys(AUXILIARY_POINTS, 1.0), 16, 3).eval()
    assert tuple(heads) == AUXILIARY_POINTS and channels["middle"] == network.middle_channels
    with torch.no_grad():
        image = torch.rand(1, 3, 64, 96)
        result, features = run_with_features(network, image)
        torch.testing.assert_close(result.logits, network(image).logits)
        assert features["eighth"].shape[2:] == (8, 12)
        assert all(heads[point](features[point]).shape[1] == 3 for point in AUXILIARY_POINTS)
    assert not make_auxiliary_heads(network, {}, 16, 3)


def one_split() -> Split:
    rng = np.random.default_rng(0)
    samples = tuple(
        Sample(str(n), rng.integers(0, 256, (64, 96, 3), np.uint8), rng.integers(0, 11, (64, 96), np.uint8))
        for n in range(2)
    )
    return Split("train", samples, CAMVID)


def test_the_auxiliary_losses_are_added_with_their_weights() -> None:
    """The loss with weights w is the principal loss plus w times what each auxiliary loss adds at weight 1."""
    places = ("eighth", "reduced")
    options = TrainOptions(
        "fcn", Path("a"), Path("b"), batch=2, crop=(64, 64), scenes=0, auxiliary=dict.fromkeys(places, 1.0),
        auxiliary_stride=1,
    )  # fmt: skip
    run = TrainingRun(options, one_split(), torch.device("cpu"))
    run.networks.eval()
    run.bfloat16 = False

    def loss_with(*weights: float) -> float:
        run.options = dataclasses.replace(options, auxiliary=dict(zip(places, weights, strict=True)))
        return float(run._backward(run.sampler(0)))

    plain = loss_with(0, 0)
    first, second = loss_with(1, 0) - plain, loss_with(0, 1) - plain
    assert first > 0 and second > 0
    assert loss_with(0.5, 2) == pytest.approx(plain + 0.5 * first + 2 * second, rel=1e-4)


# ---- from a data set as it is downloaded to a checkpoint ---------------------------------------------------


@pytest.fixture
def cityscapes(tmp_path: Path) -> Path:
    """Two small pictures to train on and one to score, in Cityscapes' folders."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 2), ("val", 1)):
        for number in range(count):
            stem = f"town_{number:06}_000019"
            for kind, ending in (("leftImg8bit", "leftImg8bit"), ("gtFine", "gtFine_labelIds")):
                folder = tmp_path / kind / split / "town"
                folder.mkdir(parents=True, exist_ok=True)
                shape = (64, 96, 3) if kind == "leftImg8bit" else (64, 96)
                values = rng.integers(0, 256, shape, np.uint8) if len(shape) == 3 else rng.choice((7, 8, 11), shape)
                Image.fromarray(values.astype(np.uint8)).save(folder / f"{stem}_{ending}.png")
    return tmp_path


@pytest.mark.slow
def test_psanet_trains_a_step_by_its_recipe_on_cityscapes(cityscapes: Path, tmp_path: Path) -> None:
    out = tmp_path / "psanet.safetensors"
    small = "--backbone resnet18 --option inner=16 --steps 1 --batch 2 --crop 64 64"
    line = f"train --model psanet_r50 --recipe psanet {small} --device cpu --data {cityscapes} --out {out}"
    assert main.main(line.split()) == 0
    record = read_record(out)
    assert (record.model, record.backbone, record.steps, len(record.classes)) == ("psanet_r50", "resnet18", 1, 19)
    assert record.options["inner"] == 16 and record.options["mask"] == (7, 7)
    assert record.command == f"python -m segviz {line}"


# ---- the page ----------------------------------------------------------------------------------------------


def test_the_page_s_commands_are_understood() -> None:
    commands = re.findall(r"^(?:python|torchrun --nproc_per_node \d) -m segviz ((?:.|\\\n)+?)$", PAGE, re.MULTILINE)
    assert len(commands) >= 8
    for command in commands:
        words = command.replace("\\\n", " ").split("#")[0].split()
        options = build_parser().parse_args(words)
        options.given, options.typed = typed_options(words), command
        if words[0] == "train":
            resolve_training(options, Path("a.safetensors"))


def test_the_page_s_table_is_that_of_the_recipes() -> None:
    rows = re.findall(r"^\| `(\w+)` \| ([\w ]+) \|(.*)\|$", PAGE, re.MULTILINE)
    layouts = {"Cityscapes": "cityscapes", "ADE20K": "ade20k", "VOC 2012": "voc", "Context": "context"}
    assert len(rows) >= 10
    for name, title, rest in rows:
        cells = [cell.strip().rstrip("*").strip() for cell in rest.split("|")]
        values = recipe_values(name, layouts[title])
        length = f"{values['epochs']} epochs" if "epochs" in values else f"{values['steps']:,} steps"
        crop = values["crop"]
        assert isinstance(crop, tuple)
        weights = values["auxiliary"]
        assert isinstance(weights, dict)
        expected = [f"{values['rate']:g}", f"{values['weight_decay']:g}", str(values["batch"]), length, str(crop[0])]
        expected += [str(values["scales"]), ", ".join(f"{place} {one:g}" for place, one in weights.items()) or "none"]
        assert cells[:7] == expected, (name, title)
