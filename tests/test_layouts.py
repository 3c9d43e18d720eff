"""Data sets in the layouts in which they are published: what is found, and which class every pixel is."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from layout_cases import (
    CITY,
    SIZE,
    context_names,
    draw_classes,
    expected_train_ids,
    make_ade20k,
    make_cityscapes,
    make_context,
    make_own,
    make_voc,
    save_labels,
    save_picture,
    write_names,
)
from PIL import Image

from segviz.data.class_sets import CLASS_SETS
from segviz.data.open_data_set import load_split, open_data_set
from segviz.data.readers.cityscapes import LABEL_IDS
from segviz.data.readers.pascal_context import MATLAB_IDS, NAMES, SCIPY_CURE
from segviz.data.readers.table import READERS
from segviz.data.sample import DataError
from segviz.data.server_format import SERVER_FORMATS


@pytest.fixture(autouse=True)
def no_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))


@pytest.mark.parametrize("form", ["labelIds", "labelTrainIds"])
def test_cityscapes_ids_become_train_ids(tmp_path: Path, form: str) -> None:
    make_cityscapes(tmp_path, form)
    split = load_split(tmp_path, "train")
    assert [sample.name for sample in split.samples] == [f"ulm/{CITY.format(number)}" for number in (0, 1)]
    assert split.classes == CLASS_SETS["cityscapes"]
    for number, sample in enumerate(split.samples):
        ids = draw_classes(number, (*range(34), 255) if form == "labelIds" else (*range(19), 255))
        np.testing.assert_array_equal(sample.labels, expected_train_ids(ids) if form == "labelIds" else ids)


def test_the_train_ids_are_those_of_cityscapes_own_table() -> None:
    assert dict(zip(LABEL_IDS, CLASS_SETS["cityscapes"].names, strict=True)) == {
        7: "road", 8: "sidewalk", 11: "building", 12: "wall", 13: "fence", 17: "pole", 19: "traffic light",
        20: "traffic sign", 21: "vegetation", 22: "terrain", 23: "sky", 24: "person", 25: "rider", 26: "car",
        27: "truck", 28: "bus", 31: "train", 32: "motorcycle", 33: "bicycle",
    }  # fmt: skip


def test_cityscapes_has_fine_and_coarse_splits_and_joins_them(tmp_path: Path) -> None:
    make_cityscapes(tmp_path)
    make_cityscapes(tmp_path, kind="gtCoarse")
    assert open_data_set(tmp_path).splits == ("train", "val", "test", "coarse_train", "coarse_val")
    assert len(load_split(tmp_path, "train+val").samples) == 3
    assert len(load_split(tmp_path, "coarse_train").samples) == 2
    with pytest.raises(DataError, match=r"the test split of .* has no labels, as only its test server has them; use"):
        load_split(tmp_path, "test")
    with pytest.raises(DataError, match=r"the test split of .* has them; leave it out, or use `predict --split test`"):
        load_split(tmp_path, "train+test")
    with pytest.raises(DataError, match=r"has no split 'training'; it has train, val, test, .* joined, as in train"):
        load_split(tmp_path, "training")


@pytest.mark.parametrize(
    ("make", "pictures", "labels"),
    [(make_cityscapes, "leftImg8bit/val", "gtFine/val"), (make_ade20k, "images/validation", "annotations/validation")],
)
def test_labels_whose_pictures_were_not_unpacked_are_named(
    make: Callable[[Path], None], pictures: str, labels: str, tmp_path: Path
) -> None:
    make(tmp_path)
    shutil.rmtree(tmp_path / pictures)
    told = rf"{labels} has labels, but .*{pictures} is missing; unpack the pictures of 'val'"
    with pytest.raises(DataError, match=told):
        load_split(tmp_path, "val")


def test_ade20k_starts_at_one_and_zero_is_void(tmp_path: Path) -> None:
    make_ade20k(tmp_path)
    rows = [f"{at}\t0\t0\t0\t0\t{name}, other" for at, name in enumerate(CLASS_SETS["ade20k"].names, 1)]
    (tmp_path / "objectInfo150.txt").write_text("\n".join(["Idx\tRatio\tTrain\tVal\tStuff\tName", *rows]))
    data = open_data_set(tmp_path)
    assert (data.layout, data.splits, len(data.classes.names)) == ("ade20k", ("train", "val"), 150)
    values = draw_classes(2, range(151)).astype(int)
    (sample,) = load_split(tmp_path, "val").samples
    np.testing.assert_array_equal(sample.labels, np.where(values == 0, 255, values - 1))
    (tmp_path / "objectInfo150.txt").write_text("Idx\tName\n1\twall\n")
    with pytest.raises(DataError, match=r"objectInfo150\.txt lists 1 classes, of which 1 are those of"):
        open_data_set(tmp_path)


def test_voc_reads_palettes_by_their_indices(tmp_path: Path) -> None:
    make_voc(tmp_path)
    data = open_data_set(tmp_path)
    assert (data.layout, data.splits, data.server) == ("voc", ("train", "val", "trainval"), "voc-comp6")
    for number, sample in enumerate(load_split(tmp_path, "train").samples):
        np.testing.assert_array_equal(sample.labels, draw_classes(number, (*range(21), 255)))


def test_voc_without_its_lists_says_which_one_is_missing(tmp_path: Path) -> None:
    make_voc(tmp_path, augmented=True)
    shutil.rmtree(tmp_path / "ImageSets")
    data = open_data_set(tmp_path)
    assert set(data.splits) == {"train", "val", "train_aug"}
    for split in data.splits:
        listing = data.list_split(split)
        needed = "val" if split == "train_aug" else split
        assert not listing.files  # else val's pictures would be trained on
        assert f"ImageSets/Segmentation/{needed}.txt is missing" in listing.faults[0]
        with pytest.raises(DataError, match=r"txt is missing.*; unpack VOC's ImageSets beside JPEGImages"):
            load_split(tmp_path, split)


def test_voc_has_a_split_of_augmented_labels(tmp_path: Path) -> None:
    make_voc(tmp_path, augmented=True)
    assert open_data_set(tmp_path).splits == ("train", "train_aug", "val", "trainval")
    names = [sample.name for sample in load_split(tmp_path, "train_aug").samples]
    assert names == ["2007_000001", "2007_000002", "2008_000009"]  # all that have labels, but those of val
    write_names(tmp_path / "ImageSets" / "Segmentation" / "trainaug.txt", ["2008_000009"])
    assert [sample.name for sample in load_split(tmp_path, "train_aug").samples] == ["2008_000009"]
    lines = ["/JPEGImages/2007_000001.jpg /SegmentationClassAug/2007_000001.png"]
    write_names(tmp_path / "ImageSets" / "Segmentation" / "trainaug.txt", lines)
    assert [sample.name for sample in load_split(tmp_path, "train_aug").samples] == ["2007_000001"]
    write_names(tmp_path / "ImageSets" / "Segmentation" / "trainaug.txt", [])
    with pytest.raises(DataError, match=r"trainaug\.txt must hold one sample name per line"):
        load_split(tmp_path, "train_aug")


def test_context_png_ids_are_alphabetical_unless_a_file_says_otherwise(tmp_path: Path) -> None:
    make_context(tmp_path)
    ids = draw_classes(0, range(60))
    for class_map in (None, Path("context")):
        split = load_split(tmp_path, "train", class_map=class_map)
        found = np.array([*split.classes.names, *["background"] * (256 - len(split.classes.names))])
        np.testing.assert_array_equal(found[split.samples[0].labels], context_names(ids))
        assert len(split.classes.names) == (59 if class_map is None else 60)
    (tmp_path / "59_labels.txt").write_text("\n".join(f"{at}: {name}" for at, name in enumerate(NAMES) if at))
    found = load_split(tmp_path, "train", class_map=Path("context")).samples[0].labels
    np.testing.assert_array_equal(found, ids)
    (tmp_path / "59_labels.txt").write_text("1: aeroplane\n2: spoon\n")
    with pytest.raises(DataError, match=r"must name the 59 classes .* but has 'spoon'"):
        open_data_set(tmp_path)


def test_context_mat_files_need_scipy_and_say_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.io", None)
    make_context(tmp_path, lambda path, values: path.write_bytes(values.tobytes()))
    assert open_data_set(tmp_path).splits == ("train", "val")
    with pytest.raises(DataError, match=SCIPY_CURE[:40]):
        load_split(tmp_path, "train")


def test_context_mat_files_hold_459_ids(tmp_path: Path) -> None:
    scipy_io = pytest.importorskip("scipy.io")
    make_context(tmp_path, lambda path, values: scipy_io.savemat(str(path), {"LabelMap": values}, do_compression=True))
    split = load_split(tmp_path, "val")
    values = np.random.default_rng(1).choice((0, 1, *MATLAB_IDS, 459), SIZE)
    names = dict(zip(MATLAB_IDS, sorted(NAMES[1:]), strict=True))
    expected = [[names.get(int(one), "void") for one in row] for row in values]
    found = np.array([*split.classes.names, *["void"] * 200])[np.minimum(split.samples[0].labels, 60)]
    np.testing.assert_array_equal(found, expected)
    (tmp_path / "trainval" / "2008_000003.mat").write_bytes(b"MATLAB 5.0")
    with pytest.raises(DataError, match=r"2008_000003\.mat is not a MATLAB file with a LabelMap"):
        load_split(tmp_path, "val")


def test_the_phases_need_a_list_of_pictures(tmp_path: Path) -> None:
    make_context(tmp_path, lambda path, values: path.write_bytes(b""))
    for text in ("", "{}", '{"images": [{"file_name": "a.jpg"', '{"images": [3]}', '{"images": []}'):
        (tmp_path / "trainval_merged.json").write_text(text)
        with pytest.raises(DataError, match=r"trainval_merged\.json .*; it needs \"images\""):
            open_data_set(tmp_path)
    (tmp_path / "trainval_merged.json").unlink()
    with pytest.raises(DataError, match=r"has neither ImageSets/SegmentationContext/train\.txt nor trainval_merged"):
        open_data_set(tmp_path)


# ---- faults ---------------------------------------------------------------------------------------------


def test_an_unknown_folder_names_the_layouts(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"has no known layout: .*meta\.json is missing") as fault:
        open_data_set(tmp_path)
    assert all(reader.title in str(fault.value) for reader in READERS.values())
    with pytest.raises(DataError, match=r"none is not a folder; check the path and its spelling$"):
        open_data_set(tmp_path / "none")


def test_the_folder_above_or_inside_is_proposed(tmp_path: Path) -> None:
    make_voc(tmp_path / "VOCdevkit" / "VOC2012")
    make_cityscapes(tmp_path / "city")
    for wrong, right, title in (
        ("VOCdevkit", "VOCdevkit/VOC2012", "PASCAL VOC"),
        ("city/leftImg8bit", "city", "Cityscapes"),
        ("VOCdevkit/VOC2012/JPEGImages", "VOCdevkit/VOC2012", "PASCAL VOC"),
    ):
        words = f"but {tmp_path / right} is a {title} folder; name that one"
        with pytest.raises(DataError, match=re.escape(words)):
            open_data_set(tmp_path / wrong)


def test_all_data_sets_in_a_folder_are_named(tmp_path: Path) -> None:
    make_voc(tmp_path / "b")
    make_cityscapes(tmp_path / "a")
    words = f"2 folders in it have one: {tmp_path / 'a'} (Cityscapes), {tmp_path / 'b'} (PASCAL VOC); name one of them"
    with pytest.raises(DataError, match=re.escape(words)):
        open_data_set(tmp_path)


def spoil_id(root: Path) -> None:
    save_labels(root / f"gtFine/train/ulm/{CITY.format(1)}_gtFine_labelIds.png", np.full(SIZE, 77))


def spoil_size(root: Path) -> None:
    save_labels(root / f"gtFine/train/ulm/{CITY.format(1)}_gtFine_labelIds.png", np.zeros((24, 30)))


def cut_off(root: Path) -> None:
    path = root / f"leftImg8bit/train/ulm/{CITY.format(1)}_leftImg8bit.png"
    path.write_bytes(path.read_bytes()[:-700])


def empty_file(root: Path) -> None:
    (root / f"leftImg8bit/train/ulm/{CITY.format(1)}_leftImg8bit.png").write_bytes(b"")


def empty_labels(root: Path) -> None:
    (root / f"gtFine/train/ulm/{CITY.format(1)}_gtFine_labelIds.png").write_bytes(b"")


def remove_one(root: Path) -> None:
    (root / f"gtFine/train/ulm/{CITY.format(1)}_gtFine_labelIds.png").unlink()


def remove_labels(root: Path) -> None:
    shutil.rmtree(root / "gtFine")


def empty_pictures(root: Path) -> None:
    shutil.rmtree(root / "leftImg8bit/train/ulm")


def as_colours(root: Path) -> None:
    path = root / f"gtFine/train/ulm/{CITY.format(1)}_gtFine_labelIds.png"
    Image.new("RGB", SIZE[::-1], (128, 64, 128)).save(path)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (spoil_id, r"labelIds\.png: no class has the id 77 \(768 pixels, .*\); .* ids 0 to 33, 255, so unpack"),
        (spoil_size, r"the labels are 30 x 24 pixels, but the picture is 32 x 24"),
        (cut_off, r"1_000019_leftImg8bit\.png cannot be read as a picture: the picture is damaged .*; unpack,"),
        (empty_file, r"_leftImg8bit\.png cannot be read as a picture: the file is empty; unpack,"),
        (empty_labels, r"_gtFine_labelIds\.png: the file is empty; unpack, download or save it again"),
        (remove_one, r"missing labels: gtFine/train/ulm/ulm_000001_000019 \(ending in .*\); unpack all of gtFine"),
        (remove_labels, r"missing labels: gtFine/train/ulm/ulm_000000_000019, gtFine/train/ulm/ulm_000001_000019"),
        (empty_pictures, r"leftImg8bit/train holds no CITY/\*_leftImg8bit\.png; unpack leftImg8bit into it"),
        (as_colours, r"the file holds colours, but only ids are given to the classes"),
    ],
)  # fmt: skip
def test_a_fault_is_named_with_its_file(tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    make_cityscapes(tmp_path)
    spoil(tmp_path)
    with pytest.raises(DataError, match=words) as fault:
        load_split(tmp_path, "train")
    assert str(fault.value).startswith(f"train split of {tmp_path}: ") and "\n" not in str(fault.value)


@pytest.mark.parametrize("kind", ["gtFine", "gtCoarse"])
def test_a_missing_picture_of_cityscapes_is_told_and_left_out(tmp_path: Path, kind: str) -> None:
    make_cityscapes(tmp_path, kind=kind)
    split = "train" if kind == "gtFine" else "coarse_train"
    (tmp_path / f"leftImg8bit/train/ulm/{CITY.format(1)}_leftImg8bit.png").unlink()
    words = rf"missing pictures: leftImg8bit/train/ulm/{CITY.format(1)}_leftImg8bit\.png; unpack all of leftImg8bit "
    with pytest.raises(DataError, match=words + f"beside {kind}; --skip-damaged .* leaves out 1 of 2 pictures"):
        load_split(tmp_path, split)
    found = load_split(tmp_path, split, skip_damaged=True)
    assert len(found.samples) == 1 and f"1 of 2 samples of {split} are left out: missing pictures" in found.notes[0]


def test_a_missing_picture_of_a_test_split_is_told(tmp_path: Path) -> None:
    make_cityscapes(tmp_path / "city")
    save_picture(tmp_path / "city/leftImg8bit/test/ulm/ulm_000004_000019_leftImg8bit.png", 4)
    path = tmp_path / f"city/leftImg8bit/test/ulm/{CITY.format(3)}_leftImg8bit.png"
    path.unlink()
    make_voc(tmp_path / "voc")
    write_names(tmp_path / "voc/ImageSets/Segmentation/test.txt", ["2008_000009", "2008_000010"])
    for data, lost in (("city", path.name), ("voc", "2008_000010")):
        listing = open_data_set(tmp_path / data).list_files("test")
        assert (len(listing.files), listing.missing) == (1, 1)
        assert "missing pictures: " in listing.faults[0] and lost in listing.faults[0]


@pytest.mark.parametrize(("split", "folder"), [("train", "training"), ("val", "validation"), ("test", "testing")])
def test_a_missing_picture_of_ade20k_is_told_and_left_out(tmp_path: Path, split: str, folder: str) -> None:
    make_ade20k(tmp_path)
    save_picture(tmp_path / "images" / folder / "ADE_more.jpg", 4)
    for name in ("ADE_more", "ADE_lost"):
        save_labels(tmp_path / "annotations" / folder / f"{name}.png", draw_classes(4, range(151)))
    words = rf"missing pictures: images/{folder}/ADE_lost \(ending in .*\); unpack all of images beside annotations"
    with pytest.raises(DataError, match=words):
        load_split(tmp_path, split)
    found = load_split(tmp_path, split, skip_damaged=True)
    assert "ADE_more" in {sample.name for sample in found.samples} and "1 of " in found.notes[0]


def test_all_that_is_wrong_is_told_at_once(tmp_path: Path) -> None:
    make_own(tmp_path, [str(number) for number in range(8)])
    (tmp_path / "train/labels/1.png").unlink()
    (tmp_path / "train/images/2.png").unlink()
    save_labels(tmp_path / "train/labels/3.png", np.full(SIZE, 9))
    save_labels(tmp_path / "train/labels/4.png", np.zeros((8, 8)))
    (tmp_path / "train/images/5.png").write_bytes((tmp_path / "train/images/5.png").read_bytes()[:300])
    with pytest.raises(DataError) as fault:
        load_split(tmp_path, "train")
    head, *lines, skip = str(fault.value).splitlines()
    assert head == f"train split of {tmp_path}: 5 of 8 pictures cannot be used:"
    assert skip == "  --skip-damaged of `train` and `evaluate` leaves out 5 of 8 pictures"
    assert fault.value.faults == tuple(line.strip() for line in (*lines, skip))
    named = ("train/images/2", "train/labels/1.png", "3.png: no class", "4.png: the labels are 8 x 8", "5.png")
    for words, line in zip(named, lines, strict=True):
        assert line.startswith("  ") and words in line


def test_one_truncated_file_among_many_is_named_and_can_be_skipped(tmp_path: Path) -> None:
    make_own(tmp_path, [str(number) for number in range(40)])
    path = tmp_path / "train/images/17.png"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(DataError, match=r"17\.png cannot be read.*; --skip-damaged of .* leaves out 1 of 40 pictures$"):
        load_split(tmp_path, "train")
    split = load_split(tmp_path, "train", skip_damaged=True)
    assert len(split.samples) == 39 and "17" not in {sample.name for sample in split.samples}
    assert split.notes[0].startswith("1 of 40 samples of train are left out: ") and "17.png" in split.notes[0]


def test_nothing_is_left_to_skip_where_all_is_damaged(tmp_path: Path) -> None:
    make_own(tmp_path)
    shutil.rmtree(tmp_path / "train/labels")
    (tmp_path / "train/labels").mkdir()
    with pytest.raises(DataError, match="missing labels"):
        load_split(tmp_path, "train", skip_damaged=True)


# ---- test servers ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SERVER_FORMATS)
def test_what_goes_to_a_test_server_reads_back_as_it_was(tmp_path: Path, name: str) -> None:
    form = SERVER_FORMATS[name]
    make = {"cityscapes": make_cityscapes, "ade20k": make_ade20k}.get(name, make_voc)
    make(tmp_path)
    data = open_data_set(tmp_path)
    labels = draw_classes(7, range(len(form.classes.names)))
    path = tmp_path / form.file_name("x")
    path.write_bytes(form.encode(labels))
    assert data.classes == form.classes
    np.testing.assert_array_equal(data.read_labels(path, SIZE), labels)


def test_server_files_have_the_names_and_ids_of_their_data_sets() -> None:
    def pixels(name: str, label: int) -> tuple[str, int, str]:
        form = SERVER_FORMATS[name]
        picture = Image.open(io.BytesIO(form.encode(np.full((2, 2), label, np.uint8))))
        return form.file_name("a_leftImg8bit"), int(np.asarray(picture)[0, 0]), picture.mode

    assert pixels("cityscapes", 18) == ("a_gtFine_labelIds.png", 33, "L")
    assert pixels("ade20k", 0) == ("a_leftImg8bit.png", 1, "L")
    assert pixels("voc-comp6", 15) == ("a_leftImg8bit.png", 15, "P")
    assert SERVER_FORMATS["voc-comp6"].folder == "results/VOC2012/Segmentation/comp6_test_cls"


def test_a_server_format_refuses_a_model_of_other_classes() -> None:
    form = SERVER_FORMATS["cityscapes"]
    form.check_classes(tuple(name.title() for name in form.classes.names), "m")
    with pytest.raises(ValueError, match="'m' does not have the classes of this test server: it has 11 classes"):
        form.check_classes(CLASS_SETS["camvid"].names, "m")
    with pytest.raises(ValueError, match="its class 3 is 'barn', the data's is 'wall'"):
        form.check_classes((*form.classes.names[:3], "barn", *form.classes.names[4:]), "m")
    with pytest.raises(ValueError, match="a pixel has the class 255, but there are 19"):
        form.encode(np.full((2, 2), 255, np.uint8))


def test_a_picture_of_its_own_size_is_fine(tmp_path: Path) -> None:
    make_voc(tmp_path)
    save_picture(tmp_path / "JPEGImages/2007_000001.jpg", 0, (16, 20))
    save_labels(tmp_path / "SegmentationClass/2007_000001.png", draw_classes(0, range(21), (16, 20)))
    assert [sample.labels.shape for sample in load_split(tmp_path, "train").samples] == [(16, 20), SIZE]
