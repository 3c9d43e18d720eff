"""The papers' networks: every row, its options, its maps, its parameters, and a checkpoint of any variant."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from pathlib import Path

import network_cases as cases
import numpy as np
import pytest
import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

import segviz
from segviz.benchmarks.measure import count_gflops
from segviz.catalogue.checkpoint_file import CheckpointError, read_checkpoint, rewrite_record, write_checkpoint
from segviz.catalogue.record import Record, from_json, to_json
from segviz.cli.main import main
from segviz.cli.network_table import list_options
from segviz.evaluation.map_numbers import random_block
from segviz.models.backbone import Backbone
from segviz.models.block_kinds import BLOCK_KINDS
from segviz.models.networks.bodies import make_body
from segviz.models.networks.recognise import recognise_network
from segviz.models.networks.resnet_body import ResNetBody
from segviz.models.networks.rows import NETWORKS
from segviz.models.networks.stored_tensors import foreign_name
from segviz.models.options import NetworkOptionError, OptionValue, write_setting
from segviz.models.registry import (
    MODELS,
    NETWORK_NAMES,
    build,
    build_block,
    maps_of,
    options_of,
    own_body,
    read_options,
    resolve_network,
)
from segviz.models.segmenter import BlockNetwork
from segviz.models.size import count_parameters

CLASSES = ("road", "sky", "car")
SMALL = (64, 96)
SMALL_BODIES = {"resnet101": "resnet18", "resnet50": "resnet18", "hrnet_w48": "hrnet_w18_small"}
# Parameters in millions, as `python -m segviz models --networks` counts them for 19 classes.
PARAMETERS = {
    "flanet_r101": 54.83, "flanet_r50": 35.84, "flanet_r18": 16.43, "flanet_shufflenet": 8.87, "flanet_hrnet48": 71.54,
    "attanet_r18": 12.64, "attanet_r50": 44.88, "attanet_r101": 63.88, "attanet_shufflenet": 3.34,
    "attanet_df1": 9.34, "attanet_df2": 18.94, "attanet_light": 0.89,
    "ssanet_r101": 56.15, "ssanet_mbv2": 4.74, "psanet_r50": 50.68, "psanet_r101": 69.68,
}  # fmt: skip
# Options that every paper's ablation switches, with values that differ from the defaults.
QUICK: tuple[tuple[str, dict[str, OptionValue]], ...] = (
    ("attanet_light", {"block": "none"}),
    ("ssanet_mbv2", {"points": 9, "pooling": False, "decoder": False}),
    ("ssanet_mbv2", {"block": "nl", "project": True}),
    ("attanet_shufflenet", {"fusion": "concatenation"}),
)  # fmt: skip
SLOW: tuple[tuple[str, dict[str, OptionValue]], ...] = (
    ("flanet_r18", {"head": "code"}),
    ("flanet_r18", {"stem": "deep", "block": "none"}),
    *(("flanet_r18", {"block": block}) for block in BLOCK_KINDS if block not in ("fla", "none")),
    ("flanet_r18", {"block": "channel_nl", "energy": "-E"}),
    ("flanet_r18", {"block": "rcca", "passes": 1}),
    ("attanet_r18", {"block": "none", "fusion": "addition"}),
    ("attanet_r18", {"strips": "horizontal", "projections": "plain"}),
    ("attanet_r18", {"block": "nl"}),
    ("ssanet_mbv2", {"points": 99, "padding": "mask"}),
    ("ssanet_mbv2", {"block": "aspp", "decoder": False}),
    ("psanet_r50", {"directions": "collect", "mask": (15, 23)}),
    ("psanet_r50", {"directions": "distribute", "mask": (15, 23), "softmax": False}),
    ("psanet_r50", {"compact": True, "mask": (4, 6)}),
    ("psanet_r50", {"shrink": 1, "mask": (15, 23)}),
    ("psanet_r50", {"block": "ppm"}),
    ("psanet_r50", {"block": "gp"}),
    ("psanet_r50", {"block": "rcca"}),
)  # fmt: skip
VARIANTS = (*QUICK, *(pytest.param(*one, marks=pytest.mark.slow) for one in SLOW))


def variant_id(variant: object) -> str:
    """A network with its options as a test's name."""
    return str(variant).replace(" ", "") if not isinstance(variant, dict) else ",".join(map(str, variant.values()))


def build_small(name: str, options: Mapping[str, OptionValue] | None = None) -> BlockNetwork:
    """A row with a small body of the same kind, and masks that fit small pictures."""
    body = SMALL_BODIES.get(NETWORKS[name].backbone, NETWORKS[name].backbone)
    settings = dict(options or {})
    if settings.get("block", NETWORKS[name].skeleton.block) == "psa":
        settings.setdefault("mask", (7, 11))
    torch.manual_seed(0)
    return build(name, len(CLASSES), body, options=settings).eval()


def record_of(network: BlockNetwork, name: str) -> Record:
    """A record that describes a network."""
    return Record(name, CLASSES, network.backbone_name, network.output_stride, options=dict(network.options))


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_gives_logits_and_its_own_maps(name: str) -> None:
    network = build_small(name)
    with torch.no_grad():
        result = network(network.expects.normalise(torch.rand(1, 3, *SMALL)))
    assert result.logits.shape == (1, len(CLASSES), *SMALL) and result.logits.isfinite().all()
    assert tuple(one.name for one in result.attended.maps[0]) == maps_of(name, network.options)
    assert network.class_count == len(CLASSES)
    assert result.middle.shape[1] == network.middle_channels
    assert network.extractor in list(network.children())


@pytest.mark.parametrize("name", NETWORKS)
def test_a_row_has_the_parameters_that_its_page_says(name: str) -> None:
    with torch.device("meta"):
        network = build(name, 19)
    millions = count_parameters(network) / 1e6
    assert round(millions, 2) == PARAMETERS[name]
    page = (Path(__file__).parents[1] / "docs" / "networks.md").read_text()
    shown = re.findall(rf"^\| `{name}` \|.*?([\d.]+) M \|", page, re.MULTILINE)
    assert set(map(float, shown)) == {PARAMETERS[name]}


@pytest.mark.slow
@pytest.mark.parametrize("name", ["attanet_r50", "attanet_r101", "attanet_shufflenet", "attanet_df1", "attanet_df2"])
def test_a_row_has_the_operations_that_its_page_says(name: str) -> None:
    page = (Path(__file__).parents[1] / "docs" / "networks.md").read_text()
    ((parameters, told, gflops, table, *_),) = re.findall(
        rf"^\| `{name}` \| ([\d.]+) M \| ([\d.]+) M \| .*? \| ([\d.]+) \| ([\d.]+) \| .*$", page, re.MULTILINE
    )
    with torch.device("meta"):
        network, picture = build(name, 19).eval(), torch.empty(1, 3, 1024, 1024)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        network(picture)
    operations = counter.get_total_flops() / 2e9
    assert f"{operations:.2f}" == gflops
    (row,) = re.findall(rf"^\| `{name}` \| {parameters} M \| {told} M \| .*$", page, re.MULTILINE)
    differences = [
        f"{100 * (own / float(other) - 1):+.1f} %"
        for own, other in ((count_parameters(network) / 1e6, told), (operations, table))
    ]
    assert row.split(" | ")[3::3] == [differences[0], f"{differences[1]} |"]
    beside = (Path(__file__).parents[1] / "docs" / "tables.md").read_text()  # the same numbers on the page of tables
    assert f"| {told} | {parameters} | {differences[0]} | {table} | {gflops} | {differences[1]} |" in beside


def test_the_page_lists_every_option() -> None:
    page = (Path(__file__).parents[1] / "docs" / "networks.md").read_text().partition("| option | of | values |")[2]
    listed = re.findall(r"^\| `(\w+)` \|", page, re.MULTILINE)
    known = {option.name for name in NETWORK_NAMES for option in options_of(name)}
    assert sorted([*listed, "block"]) == sorted(known)


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=variant_id)
def test_a_variant_runs_and_names_its_maps(name: str, options: dict[str, OptionValue]) -> None:
    network = build_small(name, options)
    with torch.no_grad():
        result = network(torch.rand(1, 3, *SMALL))
    assert result.logits.shape[2:] == SMALL
    assert tuple(one.name for one in result.attended.maps[0]) == maps_of(name, network.options)
    assert {key: network.options[key] for key in options} == options


@pytest.mark.parametrize(("name", "options"), VARIANTS, ids=variant_id)
def test_a_checkpoint_of_a_variant_loads_with_its_options(
    name: str, options: dict[str, OptionValue], tmp_path: Path
) -> None:
    network = build_small(name, options)
    path = tmp_path / "variant.safetensors"
    write_checkpoint(path, network, record_of(network, name))
    read = read_checkpoint(path)
    assert read.record.options == network.options
    assert (read.model.options, read.model.expects) == (network.options, network.expects)
    with torch.no_grad():
        picture = torch.rand(1, 3, *SMALL)
        torch.testing.assert_close(read.model(picture).logits, network(picture).logits, atol=0.02, rtol=0.02)


def test_a_variant_is_loaded_and_shown_like_a_bundled_model(tmp_path: Path) -> None:
    network = build_small("ssanet_mbv2", {"points": 9, "pooling": False})
    path = tmp_path / "variant.safetensors"
    write_checkpoint(path, network, record_of(network, "ssanet_mbv2"))
    prediction = segviz.load(path)(np.full((*SMALL, 3), 128, np.uint8))
    assert prediction.model == "ssanet_mbv2" and list(prediction.maps) == ["samples"]
    assert prediction.maps["samples"].positions.shape[1] == 9
    assert "not measured" not in repr(prediction) or prediction.worth


def test_a_record_of_other_options_does_not_replace_one(tmp_path: Path) -> None:
    network = build_small("ssanet_mbv2", {"points": 9})
    path, record = tmp_path / "variant.safetensors", record_of(network, "ssanet_mbv2")
    write_checkpoint(path, network, record)
    other = Record(record.model, CLASSES, record.backbone, record.output_stride, options={"points": 49})
    with pytest.raises(CheckpointError, match="other options"):
        rewrite_record(path, other)


def test_a_checkpoint_whose_options_are_unknown_is_refused_in_a_sentence(tmp_path: Path) -> None:
    network = build_small("ssanet_mbv2")
    path = tmp_path / "variant.safetensors"
    record = Record("ssanet_mbv2", CLASSES, network.backbone_name, 16, options={"ponts": 9})
    write_checkpoint(path, network, record)
    with pytest.raises(
        CheckpointError, match="'ssanet_mbv2' has no option 'ponts'; its options with block=snl are block"
    ):
        read_checkpoint(path)


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("snl", {"point": 9}, "'snl' has no option 'point'; its options are points, pooling, padding, sampling"),
        ("snl", {"points": 10}, "option 'points' is '10'; use 9, 49, 81, 99, 121"),
        ("rcca", {"passes": True}, "option 'passes' is 'true'; use 1, 2, 3, 4"),
        ("flanet_r50", {"points": 9}, "option 'points' has no effect with block=fla; remove it, or choose block=snl"),
        ("flanet_r50", {"block": "gla"}, "option 'block' is 'gla'; use none, ppm, aspp"),
        ("psanet_r50", {"mask": (3, 0)}, "option 'mask' has a side of 0; give both rows and columns"),
        ("psa", {"mask": (0, 3)}, "option 'mask' has a side of 0; give both rows and columns"),
        ("psanet_r50", {"mask": (3,)}, "option 'mask' is '3'; use 2 whole numbers from 0 to 4096"),
    ],
)
def test_a_wrong_option_is_told_in_one_sentence_with_the_allowed_ones(
    name: str, options: dict[str, OptionValue], message: str
) -> None:
    with pytest.raises(NetworkOptionError, match=re.escape(message)) as found:
        resolve_network(name, options)
    assert "\n" not in str(found.value)


def test_options_are_read_from_the_command_line_s_words() -> None:
    texts = ["directions=collect", "compact=no", "mask=15,23", "softmax=false", "shrink=1"]
    assert read_options("psanet_r50", texts) == {
        "directions": "collect", "compact": False, "mask": (15, 23), "softmax": False, "shrink": 1,
    }  # fmt: skip
    for text, message in (("mask", "write NAME=VALUE"), ("mask=a,b", "use 2 whole numbers"), ("shrink=x", "use 1, 2")):
        with pytest.raises(NetworkOptionError, match=message):
            read_options("psanet_r50", [text])


@pytest.mark.parametrize("name", NETWORK_NAMES)
def test_every_option_says_what_it_does_and_its_default_is_allowed(name: str) -> None:
    names = [option.name for option in options_of(name)]
    assert len(set(names)) == len(names)
    for option in options_of(name):
        assert option.check(option.default) == option.default
        assert option.help and option.values and not option.help.endswith(".")


@pytest.mark.parametrize("name", MODELS)
def test_the_eleven_are_as_they_were_without_options(name: str) -> None:
    with torch.device("meta"):
        network = build(name, 3)
    assert maps_of(name) == MODELS[name].maps
    assert network.expects.mean == network.expects.std == (0.5, 0.5, 0.5)
    assert type(build_block(name)) is type(network.block)


def test_a_block_alone_is_that_of_the_network_on_any_body_and_stride() -> None:
    own = [(name, *own_body(name)) for name in NETWORKS]
    others = [
        ("psanet_r50", "resnet18", 16),
        ("flanet_r101", "resnet18", 32),
        ("attanet_r18", "df1", 32),
        ("psa", "resnet18", 16),
    ]
    for name, backbone, stride in (*own, *others):
        with torch.device("meta"):
            network = build(name, 3, backbone, stride)
            blocks = [build_block(name, options, backbone, stride) for options in (None, network.options)]
        for block in blocks:
            shapes = ({key: one.shape for key, one in module.state_dict().items()} for module in (block, network.block))
            assert next(shapes) == next(shapes), name


def test_the_random_block_takes_the_features_of_the_network_s_own_body() -> None:
    with torch.device("meta"):
        network = build("psanet_r50", 3, "resnet18")
        block = random_block(network, "psanet_r50", network.options)
        assert block(network.reduction(network.pyramid(torch.zeros(1, 3, *SMALL))).features).features.shape[1] == 1024


def test_the_masks_of_psanet_cover_the_crop() -> None:
    for options, mask, crop in (
        ({}, (59, 59), (465, 465)),
        ({"compact": True}, (30, 30), (465, 465)),
        ({"shrink": 1}, (117, 117), (465, 465)),
        ({"mask": (89, 89)}, (89, 89), (705, 705)),
    ):
        with torch.device("meta"):
            network = build("psanet_r50", 19, options=options)  # type: ignore[arg-type]
        assert network.options["mask"] == mask and network.expects.crop == crop


def test_hrnet_gives_its_branches_not_its_classification_heads() -> None:
    with torch.device("meta"):
        body = Backbone("hrnet_w48", 8)
    channels = body.finest_channels, body.fine_channels, body.eighth_channels, body.middle_channels
    assert (*channels, body.deep_channels) == (64, 48, 96, 192, 48 + 96 + 192 + 384)


@pytest.mark.parametrize("stride", [4, 8])
def test_hrnet_s_branches_are_joined_at_the_finest_stride_or_at_the_one_that_is_asked_for(stride: int) -> None:
    with torch.device("meta"):
        network = build("flanet_hrnet48", 3, output_stride=None if stride == 4 else stride).eval()
        assert network.output_stride == stride
        assert network.pyramid(torch.empty(1, 3, 96, 64)).deep.shape == (1, 720, 96 // stride, 64 // stride)
    with pytest.raises(ValueError, match="output stride 4 is not possible; use 8, 16 or 32"):
        build("fcn", 3, output_stride=4)


@pytest.mark.parametrize(("name", "table"), [("resnet50", 171.36), ("resnet101", 324.36)])
def test_attanet_s_table_4_has_the_gflops_of_resnets_without_a_head(name: str, table: float) -> None:
    with torch.device("meta"):
        body = make_body(name, 32).eval()
        picture = torch.empty(1, 3, 1024, 1024)
    with torch.inference_mode():
        assert count_gflops(lambda: body(picture)) == pytest.approx(table, rel=0.006)


def test_psanet_s_body_is_dilated_by_2_and_4() -> None:
    with torch.device("meta"):
        body = build("psanet_r50", 3).extractor
    assert isinstance(body, ResNetBody)
    for stage, rate in ((body.layer2, 1), (body.layer3, 2), (body.layer4, 4)):
        rates = [one.dilation[0] for one in stage.modules() if isinstance(one, nn.Conv2d) and one.kernel_size == (3, 3)]
        assert set(rates) == {rate}


def test_a_body_keeps_its_own_output_stride() -> None:
    with pytest.raises(ValueError, match="output stride 8 is not possible with 'df1'; use 32"):
        build("attanet_df1", 3, output_stride=8)
    with pytest.raises(NetworkOptionError, match="option 'stem' has no effect on the backbone 'shufflenet_v2_x1_0'"):
        build("flanet_r18", 3, "shufflenet_v2_x1_0", options={"stem": "deep"})


def test_a_network_without_trained_weights_says_how_to_get_them(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="train it with `python -m segviz train --model psanet_r50`"):
        segviz.load("psanet_r50")
    with pytest.raises(SystemExit):
        main(["predict", "scene:3", "--model", "attanet_df1", "--out", "unused"])
    assert "'attanet_df1' is a network of the papers, of which segviz has no trained weights" in capsys.readouterr().err


def test_options_survive_the_record_s_json() -> None:
    options: dict[str, OptionValue] = {"mask": (15, 23), "compact": False, "shrink": 2, "block": "psa"}
    record = Record("psanet_r50", CLASSES, "resnet18", 8, options=options)
    assert from_json(to_json(record)) == record
    assert from_json(to_json(Record("fcn", CLASSES, "resnet18", 8))).options == {}
    for wrong, message in (("{}", "'options.mask' is {}, not a list"), ('[1, "a"]', 'is "a", not a whole number')):
        with pytest.raises(ValueError, match=re.escape(message)):
            from_json(to_json(record).replace("[15, 23]", wrong))
    with pytest.raises(ValueError, match="option 'mask' is nan, not finite"):
        from_json(to_json(record).replace("[15, 23]", "NaN"))


@pytest.mark.slow
def test_the_command_line_lists_networks_and_options(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "--networks"]) == 0
    shown = capsys.readouterr().out
    for name, millions in PARAMETERS.items():
        assert re.search(rf"^{name} .* {millions:.2f} M  block", shown, re.MULTILINE)
    assert main(["models", "--options", "psanet_r50"]) == 0
    shown = capsys.readouterr().out
    assert all(re.search(rf"^{option.name} ", shown, re.MULTILINE) for option in options_of("psanet_r50"))
    assert re.search(r"^mask +59,59 +rows and columns of PSA's masks", shown, re.MULTILINE)
    assert main(["models", "--options", "psa_net"]) == 2
    assert "network 'psa_net' is unknown; use fcn, " in capsys.readouterr().err


@pytest.mark.parametrize("columns", ["80", "200"])
def test_options_are_listed_in_lines_that_a_terminal_shows(columns: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", columns)
    for name in ("psanet_r50", "ssanet_mbv2", "snl"):
        lines = list_options(name).splitlines()
        assert max(map(len, lines)) <= min(int(columns), 120)
        starts = [line.split(maxsplit=1)[0] for line in lines if line[:1].strip() and not line.startswith("of ")]
        assert sorted(starts) == sorted(["option", *(option.name for option in options_of(name))])
    lines = list_options("ssanet_mbv2").splitlines()
    own, others = lines.index("of its block snl:"), lines.index("of other blocks, with --option block=NAME:")
    assert [line.split()[0] for line in lines[own + 1 : others] if line[:1].strip()] == [
        option.name for option in options_of("ssanet_mbv2") if "snl" in option.blocks
    ]


@pytest.mark.parametrize("name", NETWORKS)
def test_listed_defaults_are_those_that_each_block_is_built_with(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "120")  # no list of blocks is wrapped
    rows = [row.split(maxsplit=2) for row in list_options(name).partition("of other blocks")[2].splitlines()]
    listed = {
        (option, block): default
        for option, default, text in [row for row in rows if len(row) == 3 and ":" in row[2]]
        for block in text.partition(":")[0].split(", ")
    }
    own = str(resolve_network(name)["block"])
    for block in BLOCK_KINDS.keys() - {own}:
        settings = resolve_network(name, {"block": block})
        for option in (one for one in options_of(name) if block in one.blocks):
            default = write_setting(settings[option.name])
            same_as_own = own in option.blocks and write_setting(resolve_network(name)[option.name]) == default
            assert same_as_own or listed[option.name, block] == default


@pytest.mark.parametrize("name", NETWORKS)
def test_aspp_has_half_the_dilations_at_stride_16(name: str) -> None:
    """DeepLabV3 has 6, 12, 18 at stride 16 and 12, 24, 36 at stride 8."""
    row = NETWORKS[name]
    stride = row.output_stride // row.skeleton.finer
    assert row.resolve({"block": "aspp"})["rates"] == ((6, 12, 18) if stride == 16 else (12, 24, 36))
    if row.output_stride == 16:
        assert row.resolve({"block": "aspp"}, 8)["rates"] == (12, 24, 36)


def test_an_unknown_option_is_refused_with_those_of_the_chosen_block() -> None:
    with pytest.raises(NetworkOptionError) as caught:
        read_options("ssanet_mbv2", ["point=49"])
    assert str(caught.value) == (
        "'ssanet_mbv2' has no option 'point'; its options with block=snl are "
        f"{', '.join(resolve_network('ssanet_mbv2'))}; did you mean points?"
    )
    with pytest.raises(
        NetworkOptionError, match=r"with block=ema are block, .*bases, em_steps.*; did you mean bases\?$"
    ):
        read_options("ssanet_mbv2", ["base=64", "block=ema"])
    with pytest.raises(NetworkOptionError, match=r"'snl' has no option 'colour'; its options are points, .*input$"):
        read_options("snl", ["colour=red"])


@pytest.mark.parametrize(
    ("name", "backbone", "stride"),
    [("attanet_light", "df1", 32), ("flanet_r18", "df1", 32), ("psanet_r50", "mobilenetv2_100", None)],
)
def test_a_row_takes_another_body(name: str, backbone: str, stride: int | None) -> None:
    network = build(name, 3, backbone, stride).eval()
    with torch.no_grad():
        result = network(torch.rand(1, 3, *SMALL))
    assert result.logits.shape == (1, 3, *SMALL) and network.backbone_name == backbone
    assert network.output_stride == (stride or NETWORKS[name].output_stride)


@pytest.mark.parametrize(
    ("name", "options", "stored"),
    [
        ("flanet_r101", {"head": "code", "stem": "deep"}, cases.flanet),
        ("psanet_r50", {"stem": "deep"}, cases.psanet_of_semseg),
        ("attanet_r18", {}, cases.attanet),
        ("attanet_light", {}, cases.light_attanet),
    ],
)
def test_a_row_has_the_tensors_of_its_authors_network(
    name: str, options: dict[str, OptionValue], stored: Callable[[], dict[str, torch.Tensor]]
) -> None:
    small = recognise_network(stored())
    assert small is not None
    with torch.device("meta"):
        network = build(name, 19, options=options)
        own = {key: value for key, value in network.state_dict().items() if not key.endswith("num_batches_tracked")}
        authors = recognise_network({foreign_name(key, small.plan.pairs): value for key, value in own.items()})
        assert authors is not None
        theirs = authors.plan.make().state_dict()
    assert {key: value.shape for key, value in own.items()} == {key: theirs[key].shape for key in own}
    assert authors.classes == 19 and authors.align_corners == network.align_corners


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("sam", {"fusion": "addition", "strips": "horizontal"}),
        ("snl", {"points": 49, "pooling": False}),
        ("psa", {"directions": "distribute", "shrink": 1}),
        ("rcca", {"passes": 3, "keys": 16}),
        ("channel_nl", {"energy": "+E"}),
    ],
)
def test_the_eleven_take_options_too(name: str, options: dict[str, OptionValue]) -> None:
    network = build(name, 3, options=options).eval()
    with torch.no_grad():
        result = network(torch.rand(1, 3, *SMALL))
    assert tuple(one.name for one in result.attended.maps[0]) == maps_of(name, options)
    assert {key: network.options[key] for key in options} == options
