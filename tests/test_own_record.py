"""What pages say of a segviz checkpoint of one's own, by its record."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import save_file
from torch import zeros

from segviz.catalogue.record import VAL, Evaluation, Record, to_json
from segviz.catalogue.stored_record import RECORD_KEY
from segviz.cli import main as cli
from segviz.ui.models import model_title, offered_models
from segviz.ui.own_record import describe_record, own_record

SCORED = Evaluation("cityscapes val", 500, 0.712, 0.9, {"a": 0.712}, {"a": 0.5}, ((1,),))
RECORD = Record("ssanet_mbv2", ("a",), "mobilenetv2_100", 16, data="cityscapes train", steps=1200)


@pytest.fixture
def offered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_file({"a": zeros(1)}, tmp_path / "ss.safetensors", {RECORD_KEY: to_json(RECORD)})
    save_file({"a": zeros(1)}, tmp_path / "other.safetensors")
    (tmp_path / "models.toml").write_text(
        '[[model]]\nsource = "ss.safetensors"\n[[model]]\nsource = "other.safetensors"\n'
        '[[model]]\nsource = "net.py:make"\n[[model]]\nname = "named"\ntitle = "Mine"\nsource = "ss.safetensors"\n'
    )
    monkeypatch.setenv("SEGVIZ_MODELS", str(tmp_path / "models.toml"))


@pytest.mark.usefixtures("offered")
def test_lists_name_a_checkpoint_by_its_network_unless_it_has_a_title() -> None:
    names = "ss", "other", "net-make", "named"
    assert [own_record(name) for name in names] == [RECORD, None, None, RECORD]
    assert list(map(model_title, names)) == ["SSANet, MobileNetV2 (ss)", "other", "net-make", "Mine (named)"]


def test_a_record_is_told_as_far_as_it_goes() -> None:
    untrained = Record("unknown", ("a",), "body", 16)
    assert describe_record(untrained) == "unknown (unknown)."
    told = describe_record(Record(**{**vars(RECORD), "evaluations": {VAL: SCORED}}))
    assert told == (
        "SSANet, MobileNetV2 (ssanet_mbv2), trained on Cityscapes train for 1,200 steps. "
        "mIoU 71.2\N{NO-BREAK SPACE}% on Cityscapes val, 500 pictures."
    )


@pytest.mark.usefixtures("offered")
def test_pages_offer_networks_of_ones_own_first() -> None:
    assert offered_models()[:4] == ("ss", "other", "net-make", "named") and "ema" in offered_models()[4:]


@pytest.mark.usefixtures("offered")
def test_the_terminal_says_which_networks_the_app_offers(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "serve", lambda *_: 0)
    monkeypatch.setattr(cli, "check_port", lambda *_: None)
    assert cli.main(["app"]) == 0
    names = "ss, other, net-make, Mine (named)"
    assert capsys.readouterr().out == f"segviz: the app offers {names}; pages begin with ss\n"
