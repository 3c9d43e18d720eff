"""Checkpoints: whole or not at all, only a model's own weights, and one sentence for whatever is wrong with them."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

import segviz
from segviz import paths
from segviz.catalogue import checkpoint_file
from segviz.catalogue.checkpoint_file import CheckpointError
from segviz.catalogue.file_digest import file_digest
from segviz.catalogue.record import VAL, Cost, Evaluation, Record, from_json, to_json
from segviz.cli import main
from segviz.models.registry import MODELS, build
from segviz.prediction import predictor

CLASSES = ("a", "b", "c")
SHARES = {"a": 0.5, "b": None, "c": 1.0}
COUNTS = ((1, 2, 3), (4, 5, 6), (7, 8, 9))
SCORES = Evaluation("camvid val", 101, 0.7, 0.9, SHARES, SHARES, COUNTS, (0.5, 1.0), True)
RECORD = Record(
    "sam",
    CLASSES,
    "mobilenetv2_100",
    32,
    command="segviz train",
    lineage=("first", "second"),
    gammas={"block.gamma": 0.5},
    evaluations={VAL: SCORES},
    cost=Cost((360, 480), 74.5, 120.0, 9.1, 2_700_000, "two cores"),
)
STORED = json.loads(to_json(RECORD))


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("checkpoints") / "sam.safetensors"
    checkpoint_file.write_checkpoint(path, build("sam", 3), RECORD)
    return path


def tampered(
    source: Path, target: Path, change: dict[str, torch.Tensor | None], metadata: dict[str, str] | None = None
) -> Path:
    tensors = {name: value for name, value in {**load_file(source), **change}.items() if value is not None}
    kept = {checkpoint_file.RECORD_KEY: to_json(RECORD)}
    save_file(tensors, target, kept if metadata is None else metadata)
    return target


def with_record(target: Path, **changes: Any) -> Path:
    """A file of one tensor with a record that differs from a sound one."""
    save_file({"weight": torch.zeros(1)}, target, {checkpoint_file.RECORD_KEY: json.dumps({**STORED, **changes})})
    return target


# ---- written and read --------------------------------------------------------------------------------------


def test_a_model_and_its_record_come_back(saved: Path) -> None:
    model, record = checkpoint_file.load_checkpoint(saved)
    assert record == RECORD
    assert not model.training
    stored = load_file(saved)
    assert all(value.dtype == torch.float16 for value in stored.values() if value.is_floating_point())
    for name, value in model.state_dict().items():
        assert torch.equal(value, stored[name].to(value.dtype))


def test_no_half_written_file_is_left(saved: Path) -> None:
    assert [path.name for path in saved.parent.iterdir()] == ["sam.safetensors"]


def test_weights_beyond_float16_are_not_written(tmp_path: Path) -> None:
    model = build("sam", 3)
    with torch.no_grad():
        model.classifier.bias.fill_(1e6)
    with pytest.raises(CheckpointError, match="not finite in float16"):
        checkpoint_file.write_checkpoint(tmp_path / "large.safetensors", model, RECORD)
    assert not list(tmp_path.iterdir())


def test_another_record_leaves_the_tensors_byte_for_byte(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes(saved.read_bytes())
    other = replace(RECORD, hardware="Süd" * 1000, cost=None)
    checkpoint_file.rewrite_record(path, other)
    assert checkpoint_file.read_record(path) == other
    assert tensor_bytes(path) == tensor_bytes(saved)


def test_a_record_put_back_gives_the_same_file(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes(saved.read_bytes())
    checkpoint_file.rewrite_record(path, replace(RECORD, steps=9))
    assert path.read_bytes() != saved.read_bytes()
    checkpoint_file.rewrite_record(path, RECORD)
    assert load_file(path).keys() == load_file(saved).keys()
    assert file_digest(path) == file_digest(saved)


def test_a_rewriting_that_fails_leaves_the_old_file_alone(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    path = tmp_path / "sam.safetensors"
    path.write_bytes(saved.read_bytes())
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        checkpoint_file.rewrite_record(path, replace(RECORD, steps=9))
    assert path.read_bytes() == saved.read_bytes()
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("other", [replace(RECORD, model="fla"), replace(RECORD, classes=("a", "b"), evaluations={})])
def test_the_record_of_another_model_is_not_put_in(saved: Path, tmp_path: Path, other: Record) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes(saved.read_bytes())
    with pytest.raises(CheckpointError, match=r"sam\.safetensors holds a 'sam' model of 3 classes"):
        checkpoint_file.rewrite_record(path, other)
    assert path.read_bytes() == saved.read_bytes()


def tensor_bytes(path: Path) -> bytes:
    data = path.read_bytes()
    return data[8 + int.from_bytes(data[:8], "little") :]


# ---- files that are no checkpoints -------------------------------------------------------------------------


def put(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def pickled(path: Path) -> Path:
    torch.save({"weight": torch.zeros(1)}, path)
    return path


def folder(path: Path) -> Path:
    path.mkdir()
    return path


WHOLE = "is not a whole safetensors file"
BAD: dict[str, tuple[Callable[[Path, Path], Path], str]] = {
    "missing": (lambda saved, path: path, "there is no checkpoint"),
    "folder": (lambda saved, path: folder(path), "is not a file but a folder"),
    "empty": (lambda saved, path: put(path, b""), WHOLE),
    "text": (lambda saved, path: put(path, b"these are no weights"), WHOLE),
    "pickle": (lambda saved, path: pickled(path), "has no segviz record"),
    "huge header": (lambda saved, path: put(path, (2**62).to_bytes(8, "little") + b"{}"), WHOLE),
    "long header": (lambda saved, path: put(path, (2**20).to_bytes(8, "little") + saved.read_bytes()[8:4000]), WHOLE),
    "vast header": (lambda saved, path: put(path, (10**7).to_bytes(8, "little") + bytes(10**7)), "at most 4,194,304"),
    "no text": (lambda saved, path: put(path, (4).to_bytes(8, "little") + b"\xff" * 4), WHOLE),
    "cut in the header": (lambda saved, path: put(path, saved.read_bytes()[:1000]), WHOLE),
    "cut in the weights": (lambda saved, path: put(path, saved.read_bytes()[:-1]), WHOLE),
    "no record": (lambda saved, path: tampered(saved, path, {}, {}), "has no segviz record"),
    "no JSON": (lambda saved, path: tampered(saved, path, {}, {"segviz": "{"}), "it is not JSON"),
    "deep JSON": (lambda saved, path: tampered(saved, path, {}, {"segviz": "[" * 99999}), "it is not JSON"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_named_with_its_cause(saved: Path, tmp_path: Path, kind: str) -> None:
    make, words = BAD[kind]
    path = make(saved, tmp_path / "bad.safetensors")
    for read in (checkpoint_file.load_checkpoint, checkpoint_file.read_record, segviz.load):
        with pytest.raises(CheckpointError, match=rf"bad\.safetensors.*{words}|{words}.*bad\.safetensors") as caught:
            read(path)
        assert "\n" not in str(caught.value)
        assert ";" in str(caught.value)  # a cure follows


@pytest.mark.parametrize("kind", ["folder", "empty", "pickle", "cut in the weights", "no record"])
def test_the_command_line_says_it_in_one_line(
    saved: Path, tmp_path: Path, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    make, words = BAD[kind]
    path = make(saved, tmp_path / "bad.safetensors")
    assert main.main(["predict", "scene:1", "--model", str(path), "--out", str(tmp_path / "out")]) == 1
    told = capsys.readouterr()
    assert told.err.startswith(f"segviz: {path} ") and words in told.err
    assert len(told.err.splitlines()) == 1 and not told.out
    assert not (tmp_path / "out").exists()


# ---- records that are not what they should be --------------------------------------------------------------


def evaluated(**changes: Any) -> dict[str, Any]:
    return {"evaluations": {VAL: {**json.loads(json.dumps(asdict(SCORES))), **changes}}}


WRONG_FIELDS: list[tuple[dict[str, Any], str]] = [
    ({"classes": "abc"}, "'classes' is \"abc\", not a list"),
    ({"command": "half a letter: \ud800"}, "'command' is \"half a letter: \\ud800\", not text"),
    ({"gammas": {"\ud800": 0.5}}, "'gammas' is {\"\\ud800\": 0.5}, not names with values"),
    ({"gammas": {"x" * 5000: "half"}}, "'gammas.xxx"),
    ({"classes": ["x" * 5000] * 2}, "'classes' are ['xxx"),
    ({"classes": []}, "one or more different names"),
    ({"classes": ["a", "b", "a"]}, "one or more different names"),
    ({"classes": ["a", "b", 3]}, "'classes[2]' is 3, not text"),
    ({"model": ["sam"]}, "'model' is [\"sam\"], not text"),
    ({"steps": "9"}, "'steps' is \"9\", not a whole number"),
    ({"steps": True}, "'steps' is true, not a whole number"),
    ({"minutes": None}, "'minutes' is null, not a number"),
    ({"lineage": {}}, "'lineage' is {}, not a list"),
    ({"gammas": [0.5]}, "'gammas' is [0.5], not names with values"),
    ({"gammas": {"block.gamma": "half"}}, "'gammas.block.gamma' is \"half\", not a number"),
    ({"cost": 3}, "'cost' is 3, not names with values"),
    ({"cost": {}}, "'cost.size' is missing"),
    ({"cost": {**STORED["cost"], "size": [360]}}, "'cost.size' is [360], not a list of 2"),
    ({"evaluations": []}, "'evaluations' is [], not names with values"),
    ({"evaluations": {VAL: 0.7}}, "'evaluations.val' is 0.7, not names with values"),
    ({"backbone": ""}, "'backbone' is empty"),
    ({"backbone": " "}, "'backbone' is empty"),
    ({"model": ""}, "'model' is empty"),
    ({"classes": ["a", "b", " "]}, "one or more different names"),
    ({"palette": [[0, 0, 0]]}, "'palette' does not have one colour for each of 3 classes"),
    ({"palette": [[0, 0, 256]] * 3}, "'palette' has a value outside 0 to 255"),
    ({"output_stride": 0}, "'output_stride' is 0, not above 0"),
    ({"output_stride": -8}, "'output_stride' is -8, not above 0"),
    ({"seed": -1}, "'seed' is -1, not 0 or more"),
    ({"steps": -1}, "'steps' is -1, not 0 or more"),
    ({"steps": 10**3000}, "is not a whole number below 2^53"),
    ({"minutes": float("nan")}, "'minutes' is nan, not 0 or more"),
    ({"minutes": float("inf")}, "'minutes' is inf, not 0 or more"),
    ({"minutes": -0.5}, "'minutes' is -0.5, not 0 or more"),
    ({"gammas": {"block.gamma": float("inf")}}, "gamma 'block.gamma' is inf, not finite"),
    ({"cost": {**STORED["cost"], "milliseconds": float("nan")}}, "'cost.milliseconds' is nan, not 0 or more"),
    ({"cost": {**STORED["cost"], "size": [0, 480]}}, "'cost.size' is 0, not above 0"),
    ({"cost": {**STORED["cost"], "parameters": -1}}, "'cost.parameters' is -1, not 0 or more"),
    (evaluated(images=-1), "'images' of 'val' is -1, not 0 or more"),
    (evaluated(scales=[]), "'scales' of 'val' are not one or more finite factors above 0"),
    (evaluated(scales=[1.0, float("nan")]), "'scales' of 'val' are not one or more finite factors above 0"),
    (evaluated(scales=[0.0]), "'scales' of 'val' are not one or more finite factors above 0"),
    (evaluated(confusion=[[1, 2, 3], [4, 5, 6], [7, 8, 2**63]]), "has a pixel count of 2^53 or more"),
    (evaluated(iou=[0.5]), "'evaluations.val.iou' is [0.5], not names with values"),
    (evaluated(iou={"tree": 0.5}), "which are not classes"),
    (evaluated(boundary_iou={"a": 50.0}), "outside 0 to 1"),
    (evaluated(miou=70.0), "outside 0 to 1"),
    (evaluated(flip="yes"), "'evaluations.val.flip' is \"yes\", not true or false"),
    (evaluated(confusion=[[1, 2], [3, 4]]), "'confusion' of 'val' is not 3 x 3"),
    (evaluated(confusion=[[1, 2, 3], [4, 5, 6], [7, 8]]), "'confusion' of 'val' is not 3 x 3"),
    (evaluated(confusion=[]), "'confusion' of 'val' is not 3 x 3"),
    (evaluated(confusion=[[1, 2, 3], [4, 5, 6], [7, 8, -9]]), "has a negative pixel count"),
    (evaluated(confusion=[[1, 2, 3], [4, 5, 6], [7, 8, 0.5]]), "'evaluations.val.confusion[2][2]' is 0.5"),
]  # fmt: skip


@pytest.mark.parametrize(("changes", "words"), WRONG_FIELDS, ids=[words for _, words in WRONG_FIELDS])
def test_a_wrong_field_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = with_record(tmp_path / "wrong.safetensors", **changes)
    with pytest.raises(CheckpointError) as caught:
        checkpoint_file.read_record(path)
    assert str(caught.value).startswith(f"{path} has a damaged segviz record (")
    assert words in str(caught.value)
    assert len(str(caught.value)) < len(str(path)) + 200  # however long the wrong value is


@pytest.mark.parametrize("name", ["model", "classes", "backbone", "output_stride"])
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(ValueError, match=f"'{name}' is missing"):
        from_json(json.dumps({key: value for key, value in STORED.items() if key != name}))


def test_fields_of_a_later_version_are_passed_over() -> None:
    later = {**STORED, "mood": "good", **evaluated(mood="good"), "cost": {**STORED["cost"], "joules": 3}}
    assert from_json(json.dumps(later)) == RECORD


def test_a_long_name_is_cut_short(tmp_path: Path) -> None:
    for number, change in enumerate(({"model": "x" * 5000}, {"backbone": "x" * 5000}, {"output_stride": 10**3000})):
        path = with_record(tmp_path / f"{number}.safetensors", **change)
        with pytest.raises(CheckpointError) as caught:
            checkpoint_file.load_checkpoint(path)
        assert len(str(caught.value)) < len(str(path)) + 400


def test_an_unknown_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"other\.safetensors holds a 'unet' model; known are fcn, channel_nl"):
        checkpoint_file.load_checkpoint(with_record(tmp_path / "other.safetensors", model="unet"))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"backbone": "resnet-one-million"}, "backbone 'resnet-one-million' at output stride 32"),
        ({"backbone": "vit_base_patch16_224"}, "backbone 'vit_base_patch16_224' at output stride 32"),
        ({"output_stride": 7}, r"backbone 'mobilenetv2_100' at output stride 7 \(output stride 7 is not possible; use"),
    ],
)
def test_a_network_that_cannot_be_built_is_named(tmp_path: Path, changes: dict[str, Any], words: str) -> None:
    path = with_record(tmp_path / "odd.safetensors", **changes)
    with pytest.raises(CheckpointError, match=rf"odd\.safetensors holds a network that cannot be built: {words}"):
        checkpoint_file.load_checkpoint(path)


def test_a_type_that_no_file_has_is_told_in_plain_text(saved: Path, tmp_path: Path) -> None:
    data = saved.read_bytes()
    end = 8 + int.from_bytes(data[:8], "little")
    header = json.loads(data[8:end])
    header["classifier.bias"]["dtype"] = "a\0b" * 50
    changed = json.dumps(header).encode()
    path = tmp_path / "odd.safetensors"
    path.write_bytes(len(changed).to_bytes(8, "little") + changed + data[end:])
    with pytest.raises(CheckpointError, match=r"'classifier\.bias' is stored as a ba ba [^\0]{1,20}, expected F16"):
        checkpoint_file.load_checkpoint(path)


# ---- weights that are not the model's ----------------------------------------------------------------------

WRONG_TENSORS: list[tuple[dict[str, torch.Tensor | None], str]] = [
    ({"classifier.bias": None}, "it lacks 'classifier.bias'; train it again"),
    ({"other": torch.zeros(1)}, "it has unexpected 'other'; train it again"),
    ({"classifier.bias": None, "other": torch.zeros(1)}, "it lacks 'classifier.bias' and has unexpected 'other'; "),
    ({str(n): torch.zeros(1) for n in range(7)}, "it has unexpected '0', '1', '2' and 4 more; train it again"),
    ({"classifier.bias": torch.zeros(4)}, "'classifier.bias' has shape (4,), expected (3,); train it again"),
    ({"classifier.bias": torch.zeros(3, dtype=torch.int8)}, "'classifier.bias' is stored as I8, expected F16 or "),
    ({"classifier.bias": torch.tensor([0.0, float("nan"), 0.0])}, "'classifier.bias' holds values that are not finite"),
    ({"classifier.bias": torch.tensor([0.0, float("inf"), 0.0])}, "'classifier.bias' holds values that are not finite"),
    (
        {"classifier.bias": torch.full((3,), 1e300, dtype=torch.float64)},
        "'classifier.bias' holds values that are not fi",
    ),
    ({"x" * 5000: torch.zeros(1)}, "it has unexpected 'xxx"),
]


@pytest.mark.parametrize(("change", "words"), WRONG_TENSORS, ids=[words for _, words in WRONG_TENSORS])
def test_wrong_tensors_are_named(
    saved: Path, tmp_path: Path, change: dict[str, torch.Tensor | None], words: str
) -> None:
    path = tampered(saved, tmp_path / "wrong.safetensors", change)
    with pytest.raises(CheckpointError) as caught:
        checkpoint_file.load_checkpoint(path)
    assert str(caught.value).startswith(str(path)) and words in str(caught.value)


def test_another_model_s_weights_do_not_fit(saved: Path, tmp_path: Path) -> None:
    text = json.dumps({**STORED, "model": "fla", "output_stride": 8})
    with pytest.raises(CheckpointError, match=r"it lacks '.*' and \d+ more and has unexpected '.*' and \d+ more; "):
        checkpoint_file.load_checkpoint(
            tampered(saved, tmp_path / "fla.safetensors", {}, {checkpoint_file.RECORD_KEY: text})
        )


def test_a_file_that_does_not_fit_costs_no_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    places = []

    def watched(*arguments: Any) -> Any:
        places.append(torch.get_default_device().type)
        return build(*arguments)

    monkeypatch.setattr(checkpoint_file, "build", watched)
    path = with_record(tmp_path / "large.safetensors", classes=[str(n) for n in range(100_000)], evaluations={})
    with pytest.raises(CheckpointError, match="does not fit its model"):
        checkpoint_file.load_checkpoint(path)
    assert places == ["meta"]


# ---- files that change while they are read -----------------------------------------------------------------

OVERWRITTEN = """
import os, sys, threading
from pathlib import Path
from segviz.catalogue.checkpoint_file import CheckpointError, load_checkpoint, read_record
from segviz.training.initialise import initialise
from segviz.models.registry import build

path, stop, fit = Path(sys.argv[1]), threading.Event(), build("sam", 3)
whole = path.read_bytes()

def overwrite():  # in place, as `cp` does
    while not stop.is_set():
        with path.open("r+b") as file:
            file.truncate(0)
            file.write(whole)

writer = threading.Thread(target=overwrite)
writer.start()
loaded = 0
for turn in range(40):
    for use in (load_checkpoint, read_record, lambda path: initialise(fit, path)):
        try:
            use(path)
            loaded += 1
        except CheckpointError:
            pass
stop.set()
writer.join()
load_checkpoint(path)
print("alive", loaded)
"""


@pytest.mark.slow
def test_a_checkpoint_that_is_overwritten_in_place_does_not_kill_the_process(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes(saved.read_bytes())
    command = [sys.executable, "-c", OVERWRITTEN, str(path)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=200, cwd=paths.PACKAGE.parent)
    assert ran.returncode == 0 and ran.stdout.startswith("alive"), ran.stderr


def test_no_reader_maps_the_file(saved: Path, tmp_path: Path) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes(saved.read_bytes())
    model, _ = checkpoint_file.load_checkpoint(path)
    before = [value.clone() for value in model.state_dict().values()]
    with path.open("r+b") as file:
        file.truncate(0)
    assert all(torch.equal(*pair) for pair in zip(before, model.state_dict().values(), strict=True))
    with pytest.raises(CheckpointError, match=WHOLE):
        checkpoint_file.load_checkpoint(path)


def test_a_file_that_grows_while_it_is_read_is_refused(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes(saved.read_bytes())

    def grow(*arguments: Any) -> Any:
        path.write_bytes(saved.read_bytes() + b"more")
        return build(*arguments)

    monkeypatch.setattr(checkpoint_file, "build", grow)
    with pytest.raises(CheckpointError, match="written while it was read"):
        checkpoint_file.load_checkpoint(path)


def test_a_predictor_knows_the_digest_of_its_own_bytes(
    saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "sam.safetensors"
    path.write_bytes(saved.read_bytes())
    digest = file_digest(path)
    read = predictor.read_checkpoint

    def swap_afterwards(path: Path) -> checkpoint_file.Checkpoint:
        checkpoint = read(path)
        path.write_bytes(b"another file")
        return checkpoint

    monkeypatch.setattr(predictor, "read_checkpoint", swap_afterwards)
    assert predictor.load_predictor(path, "cpu").digest == digest != file_digest(path)


def test_a_digest_is_remembered_only_while_the_file_stays_the_same(tmp_path: Path) -> None:
    path, old = tmp_path / "file", tmp_path / "old"
    contents = {data: hashlib.sha256(data).hexdigest() for data in (b"one", b"two")}
    for data in (b"one", b"two") * 50:  # same size, and often the same time stamp
        path.write_bytes(data)
        assert file_digest(path) == contents[data]
    os.utime(path, (1, 1))
    path.rename(old)
    for data in (b"one", b"two"):  # the same times, as `cp -p` leaves them
        path.write_bytes(data)
        os.utime(path, (1, 1))
        assert file_digest(path) == contents[data]
        assert file_digest(old) == contents[b"two"]


# ---- bundled files -----------------------------------------------------------------------------------------


@pytest.fixture
def bundle(saved: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of bundled checkpoints: a sound one, one that holds another model, one that is cut."""
    (tmp_path / "sam.safetensors").write_bytes(saved.read_bytes())
    (tmp_path / "fla.safetensors").write_bytes(saved.read_bytes())
    (tmp_path / "psa.safetensors").write_bytes(saved.read_bytes()[:-1])
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path))
    return tmp_path


def test_a_name_does_not_load_another_model(bundle: Path) -> None:
    with pytest.raises(CheckpointError, match=r"/fla\.safetensors holds a 'sam' model, not 'fla'; put 'fla' back"):
        segviz.load("fla")


def test_a_path_outside_the_bundle_may_hold_any_model(bundle: Path, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    path = (bundle / "fla.safetensors").rename(tmp_path / "mine" / "fla.safetensors")
    assert segviz.load(path, device="cpu").record.model == "sam"


def test_models_tells_which_checkpoints_cannot_be_used(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["models", "--json"]) == 1
    told = capsys.readouterr()
    rows = {row["name"]: row for row in json.loads(told.out)}
    states = {name: row["checkpoint"] for name, row in rows.items() if row["checkpoint"] != "none"}
    assert states == {"fla": "damaged", "sam": "yes", "psa": "damaged"}
    assert rows["sam"]["val_miou"] == 0.7 and rows["fla"]["val_miou"] is None and rows["psa"]["val_miou"] is None
    assert told.err.splitlines() == [f"segviz: {rows[name]['problem']}" for name in ("fla", "psa")]
    assert "holds a 'sam' model, not 'fla'" in told.err and WHOLE in told.err


def test_models_lists_the_others_all_the_same(bundle: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main.main(["models"]) == 1
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert lines["sam"].split()[-2:] == ["70.0", "-"]
    assert "damaged" in lines["fla"] and "damaged" in lines["psa"] and "none" in lines["fcn"]


def test_loading_what_is_no_model_names_the_models() -> None:
    with pytest.raises(CheckpointError) as caught:
        segviz.load("typo")
    assert str(caught.value).startswith(
        "'typo' is neither a model, a checkpoint file nor a network; networks are net.py:"
    )
    assert str(caught.value).endswith(f"the models are {', '.join(MODELS)}")
