"""Test protocols: sliding crops, scales and mirror images, exact against slow loops, and bounded in memory."""

from __future__ import annotations

import json
import math
from collections.abc import Collection
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image
from test_cli import segviz as run_segviz
from torch import Tensor

from segviz.attention.region import Region
from segviz.catalogue.checkpoint_file import read_record, write_checkpoint
from segviz.catalogue.record import Evaluation, Record, from_json, to_json
from segviz.cli.counting import key_of_set, write_protocols
from segviz.cli.worker_jobs import PortableFiles
from segviz.data.sample import Sample
from segviz.evaluation.evaluate import class_scores, evaluate_by_protocols, evaluate_samples
from segviz.evaluation.protocols import ScoringProtocol
from segviz.evaluation.scored_network import RunNetwork, ScoredBlockNetwork
from segviz.models.registry import build
from segviz.models.segmenter import Segmenter
from segviz.prediction import crops
from segviz.prediction.crops import CropGrid, place_crops

CLASSES = ("road", "tree", "sky")


@pytest.fixture(scope="module")
def network() -> Segmenter:
    torch.manual_seed(0)
    model = build("fla", len(CLASSES)).eval()
    torch.nn.init.constant_(model.block.gamma, 0.5)
    return model


@pytest.fixture(scope="module")
def street() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (70, 90, 3), dtype=np.uint8)


def slow_scores(network: Segmenter, picture: np.ndarray, protocol: ScoringProtocol) -> np.ndarray:
    """The mean over scales, crops and mirror images, pixel by pixel: a crop of the picture, one forward, a sum."""
    height, width = picture.shape[:2]
    total = np.zeros((len(CLASSES), height, width))
    for scale in protocol.scales:
        rows, columns = round(height * scale), round(width * scale)
        shrinks = rows * columns < height * width
        kind = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        view = picture if scale == 1 else cv2.resize(picture, (columns, rows), interpolation=kind)
        signed = view.astype(np.float32) / 127.5 - 1  # the network's mean colour is 0
        crop_rows, crop_columns = protocol.crop or (rows, columns)
        below, right = max(0, crop_rows - rows), max(0, crop_columns - columns)
        above, left = below // 2, right // 2
        padded = np.pad(signed, ((above, below - above), (left, right - left), (0, 0)))
        sums, counts = np.zeros((len(CLASSES), *padded.shape[:2])), np.zeros(padded.shape[:2])
        for top in slow_starts(padded.shape[0], crop_rows, protocol.step):
            for first in slow_starts(padded.shape[1], crop_columns, protocol.step):
                crop = padded[top : top + crop_rows, first : first + crop_columns]
                scores = softmax_of(network, crop)
                if protocol.flip:
                    scores = (scores + softmax_of(network, crop[:, ::-1])[:, :, ::-1]) / 2
                sums[:, top : top + crop_rows, first : first + crop_columns] += scores
                counts[top : top + crop_rows, first : first + crop_columns] += 1
        mean = (sums / counts)[:, above : above + rows, left : left + columns]
        total += F.interpolate(torch.from_numpy(mean)[None], (height, width), mode="bilinear")[0].numpy()
    return total / len(protocol.scales)


def slow_starts(length: int, crop: int, step: float) -> list[int]:
    """From 0 on in steps; a crop that would end beyond the picture ends with it."""
    stride, starts = math.ceil(crop * step), [0]
    while starts[-1] + crop < length:
        starts.append(min(starts[-1] + stride, length - crop))
    return starts


def softmax_of(network: Segmenter, crop: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        batch = torch.from_numpy(np.ascontiguousarray(crop)).permute(2, 0, 1)[None]
        return network(batch).logits.softmax(1)[0].numpy()  # type: ignore[no-any-return]


@pytest.mark.parametrize(
    "protocol",
    [
        ScoringProtocol(crop=(48, 40)),
        ScoringProtocol(crop=(48, 64), step=0.5, flip=True),
        ScoringProtocol(scales=(0.5, 1.0), crop=(40, 48)),  # at half the size, the picture is padded
        ScoringProtocol(scales=(1.0,), crop=(96, 128), flip=True),  # larger than the picture on both sides
        ScoringProtocol(scales=(1.5,), crop=(96, 96), step=1.0),
    ],
    ids=lambda protocol: protocol.words,
)
def test_sliding_crops_are_the_slow_loops(network: Segmenter, street: np.ndarray, protocol: ScoringProtocol) -> None:
    with torch.inference_mode():
        found = class_scores(network, street, protocol).numpy()
    np.testing.assert_allclose(found, slow_scores(network, street, protocol), atol=2e-5)
    np.testing.assert_allclose(found.sum(0), 1, atol=1e-5)


@pytest.mark.parametrize(
    ("picture", "crop", "step"),
    [((100, 90), (40, 30), 2 / 3), ((100, 90), (100, 90), 0.5), ((33, 200), (64, 64), 0.4), ((64, 64), (63, 64), 1.0)],
)
def test_crops_cover_every_pixel_and_lie_in_the_padded_picture(
    picture: tuple[int, int], crop: tuple[int, int], step: float
) -> None:
    grid = place_crops(picture, crop, step)
    assert grid.tops == tuple(slow_starts(grid.padded[0], crop[0], step))
    assert grid.lefts == tuple(slow_starts(grid.padded[1], crop[1], step))
    seen = np.zeros(grid.padded, int)
    for top, left in grid.corners:
        assert 0 <= top <= grid.padded[0] - crop[0] and 0 <= left <= grid.padded[1] - crop[1]
        seen[top : top + crop[0], left : left + crop[1]] += 1
    assert seen.min() >= 1
    mean = crops.CropMean(grid, 2)
    for number in range(len(grid.corners)):
        mean.add(number, torch.ones(2, *crop))
    assert torch.equal(mean.mean(), torch.ones(2, *picture))


def test_psanet_s_crops_of_a_cityscapes_picture() -> None:
    grid = place_crops((1024, 2048), (705, 705))  # a step of ceil(705 * 2 / 3) = 470
    assert (grid.tops, grid.lefts) == ((0, 319), (0, 470, 940, 1343))


def test_a_place_belongs_to_the_crop_whose_centre_is_nearest() -> None:
    grid = place_crops((100, 100), (60, 60), 0.5)  # rows and columns 0, 30, 40
    assert grid.regions[grid.nearest((5, 99))] == Region(0, 40, 60, 60)
    assert grid.regions[grid.nearest((50, 60))] == Region(30, 30, 60, 60)
    with pytest.raises(ValueError, match=r"pixel \(y=100, x=0\) is outside the picture of 100 x 100 pixels"):
        grid.nearest((100, 0))
    assert Region(-4, 3, 20, 10).within((10, 8)) == Region(0, 3, 10, 5)
    assert str(Region(0, 40, 60, 60)) == "rows 0 to 59, columns 40 to 99"


def test_a_small_picture_is_padded_on_both_sides() -> None:
    grid = place_crops((40, 100), (63, 60), 1.0)
    assert grid.before == (11, 0) and grid.regions[0] == Region(-11, 0, 63, 60)
    padded = grid.pad(torch.ones(1, 3, 40, 100))
    assert padded.shape == (1, 3, 63, 100) and padded[0, 0, :, 0].nonzero().flatten().tolist() == list(range(11, 51))


def test_several_protocols_in_one_pass_give_the_numbers_of_each(network: Segmenter, street: np.ndarray) -> None:
    labels = np.random.default_rng(1).integers(0, 3, street.shape[:2], dtype=np.uint8)
    samples = [Sample("street", street, labels)]
    protocols = {
        "whole": ScoringProtocol(),
        "crops": ScoringProtocol(crop=(48, 48)),
        "both": ScoringProtocol((0.5, 1.0), True, crop=(48, 48)),
    }
    with torch.inference_mode():
        found = evaluate_by_protocols(network, samples, CLASSES, "a street", protocols).evaluations
    for name, protocol in protocols.items():
        alone = evaluate_by_protocols(network, samples, CLASSES, "a street", {"": protocol}).evaluations[""]
        assert found[name].confusion == alone.confusion
    assert found["crops"].crop == (48, 48) and found["crops"].step == 2 / 3 and found["whole"].step is None
    assert found["whole"] == evaluate_samples(network, samples, CLASSES, "a street")


def test_crops_are_run_a_bounded_number_at_a_time(monkeypatch: pytest.MonkeyPatch, street: np.ndarray) -> None:
    seen: list[int] = []

    class Counting(ScoredBlockNetwork):
        def prepare(self, contexts: Collection[bool]) -> RunNetwork:
            def run(views: Tensor, wanted: object, other: object, /) -> tuple[dict[bool, Tensor], None]:
                seen.append(views[:, 0].numel())
                return {True: views}, None

            return run

    network = Counting(build("fcn", 3).eval())
    monkeypatch.setattr(crops, "PIXELS_AT_ONCE", 3 * 32 * 32)
    with torch.inference_mode():
        class_scores(network, street, ScoringProtocol(crop=(32, 32), step=0.25))
        class_scores(network, street, ScoringProtocol(crop=(32, 32), step=0.25, flip=True))
    assert sum(one // 1024 for one in seen) == 3 * len(place_crops((70, 90), (32, 32), 0.25).corners)
    assert max(seen) <= 3 * 32 * 32


def test_the_size_of_scale_one_can_be_given() -> None:
    assert ScoringProtocol(size=(512, 1024)).seen_size((1024, 2048), 1.0) == (512, 1024)
    assert ScoringProtocol(size=(512, 1024)).seen_size((1024, 2048), 0.5) == (256, 512)
    assert ScoringProtocol(long_side=512).seen_size((300, 400), 1.0) == (384, 512)
    assert ScoringProtocol(long_side=512).seen_size((400, 300), 1.75) == (896, 672)
    assert ScoringProtocol().seen_size((20, 24), 0.5) == (32, 32)


def test_a_protocol_outlives_its_record() -> None:
    one = Evaluation(
        "a street", 1, 0.5, 0.5, dict.fromkeys(CLASSES, 0.5), dict.fromkeys(CLASSES), ((1, 0, 0),) * 3,
        scales=(0.5, 1.0), flip=True, crop=(705, 705), step=2 / 3, long_side=2048,
    )  # fmt: skip
    record = Record("psa", CLASSES, "resnet50", 8, evaluations={"val": one})
    assert from_json(to_json(record)).evaluations["val"] == one
    assert one.shown == "scales 0.5, 1, flip, long side 2048, crops of 705 x 705"
    slid = replace(one, step=0.5, long_side=None, scales=(1.0,), flip=False)
    assert slid.shown == "at their own size, crops of 705 x 705 by 1/2"
    damaged: list[tuple[dict[str, Any], str]] = [({"crop": (0, 705)}, "a side of 'val'")]
    damaged += [({"step": share}, "'step' of 'val'") for share in (2.0, math.inf, math.nan)]
    for wrong, named in damaged:
        text = to_json(replace(record, evaluations={"val": replace(one, **wrong)}))
        with pytest.raises(ValueError, match=named):
            from_json(text)


def test_a_record_says_in_words_how_pictures_were_shown() -> None:
    """Whoever reads the JSON need not know that no crop means the whole picture; records without the words are read."""
    whole = Evaluation("a street", 1, 0.5, 0.5, {}, {}, ((1, 0, 0),) * 3)
    text = to_json(Record("psa", CLASSES, "resnet50", 8, evaluations={"val": whole}))
    stored = json.loads(text)["evaluations"]["val"]
    assert stored.pop("shown") == "whole, at their own size"
    earlier = json.dumps({**json.loads(text), "evaluations": {"val": stored}})
    assert from_json(earlier) == from_json(text.replace("whole, at", "something else, at")) == from_json(text)
    assert from_json(earlier).evaluations["val"].shown == "whole, at their own size"


@pytest.mark.parametrize(
    ("protocol", "cure"),
    [
        (ScoringProtocol(crop=(16, 64)), "give sides from 32"),
        (ScoringProtocol(crop=(64, 64), step=0), "a step above 0"),
        (ScoringProtocol(size=(64, 64), long_side=64), "give one of them"),
        (ScoringProtocol(long_side=8), "give a larger size"),
        (ScoringProtocol(scales=()), "give one or more factors"),
    ],
    ids=str,
)
def test_protocols_that_cannot_be_followed_are_refused(
    network: Segmenter, protocol: ScoringProtocol, cure: str
) -> None:
    with pytest.raises(ValueError, match=cure):
        evaluate_by_protocols(network, [], CLASSES, "nothing", {"": protocol})


def test_the_grid_says_how_many_crops_are_run_together() -> None:
    grid = CropGrid((705, 2000), (705, 705), (0,), (0, 470, 940, 1295))
    assert [len(one) for one in grid.batches()] == [2, 2] and [len(one) for one in grid.batches(2)] == [1] * 4


def test_the_command_line_records_a_protocol_with_its_score(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], street: np.ndarray
) -> None:
    root, file = tmp_path / "data", tmp_path / "fcn.safetensors"
    for part in ("images", "labels"):
        (root / "val" / part).mkdir(parents=True)
    (root / "val.txt").write_text("one\n")
    (root / "meta.json").write_text(json.dumps({"classes": CLASSES, "void": 255}))
    labels = np.random.default_rng(1).integers(0, 3, street.shape[:2], dtype=np.uint8)
    for part, pixels in (("images", street), ("labels", labels)):
        Image.fromarray(pixels).save(root / "val" / part / "one.png")
    write_checkpoint(file, build("fcn", len(CLASSES)), Record("fcn", CLASSES, "mobilenetv2_100", 8))
    words = ["evaluate", "--model", file, "--data", root, "--record"]
    more = ["--crop", "48", "64", "--step", "1/2", "--scales", "0.75,1", "--flip", "--long-side", "80"]
    assert run_segviz(*words, *more) == 0
    name = "val, scales 0.75, 1, flip, long side 80, crops of 48 x 64 by 1/2"
    assert name in capsys.readouterr().out
    one = read_record(file).evaluations[name]
    assert (one.crop, one.step, one.scales, one.flip, one.long_side) == ((48, 64), 0.5, (0.75, 1.0), True, 80)
    assert run_segviz(*words, "--multi-scale", "--scales", "0.5,1", "--crop", "48", "64") == 0
    assert set(read_record(file).evaluations) == {
        name, "val, crops of 48 x 64", "val, multi-scale and flip, crops of 48 x 64",
    }  # fmt: skip
    assert read_record(file).evaluations["val, multi-scale and flip, crops of 48 x 64"].scales == (0.5, 1.0)


@dataclass(frozen=True)
class Renamed(ScoringProtocol):
    """A protocol as it would be under another name."""


@pytest.mark.parametrize("protocol", [ScoringProtocol, Renamed])
def test_lists_of_finished_samples_have_digests_of_the_same_words_as_ever(protocol: type[ScoringProtocol]) -> None:
    written = write_protocols({"val, MS+F": protocol((0.5, 1.0), True), "val": protocol(crop=(48, 64))})
    rest = "step=0.6666666666666666, size=None, long_side=None)"
    crops = f"Way(scales=(1.0,), flip=False, context=True, crop=(48, 64), {rest}"
    assert (
        written
        == f"[('val', {crops}), ('val, MS+F', Way(scales=(0.5, 1.0), flip=True, context=True, crop=None, {rest})]"
    )
    digest = "8ee463f93e4dc9fec9f406b2a3531f5500248887f6a36165c92049c6aec1b09e"
    assert key_of_set(PortableFiles("of the model", None, ""), f"val {written} False") == digest


def test_all_fields_of_a_protocol_are_in_the_digests() -> None:
    other = ScoringProtocol((0.5,), True, False, (48, 64), 0.5, (96, 128), 80)
    usual = ScoringProtocol()
    for one in fields(ScoringProtocol):
        changed = replace(usual, **{one.name: getattr(other, one.name)})
        assert write_protocols({"val": changed}) != write_protocols({"val": usual}), one.name
