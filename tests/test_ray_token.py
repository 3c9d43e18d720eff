"""What is asked of a Ray cluster before it is used, and what is sent to it; none of it needs Ray."""

from __future__ import annotations

import io
import os
import pickle
import subprocess
import sys
import tomllib
from pathlib import Path

import numpy as np
import pytest

from segviz.attribution import Options, Target
from segviz.engine import (
    Attribute,
    CompareFeatures,
    CompareLayer,
    CompareStage,
    MeasureInfluence,
    Op,
    Predict,
    Request,
    Watch,
)
from segviz.engine.ray_cluster.portable_model import FileModels
from segviz.engine.ray_cluster.remote_request import RemoteRequest
from segviz.runtime.ray_token import check_token
from segviz.settings import SettingError, check_cluster

ROOT = Path(__file__).parents[1]
HEAD = "10.0.0.5:6379"


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(Path, "home", lambda: tmp_path)
    return tmp_path


def test_a_cluster_by_address_needs_a_token_and_a_local_one_makes_its_own(home: Path) -> None:
    check_token("local", {})
    with pytest.raises(ValueError, match=r"auth_token holds no token of the cluster; copy the output of `ray get-auth"):
        check_token(HEAD, {})
    check_token(HEAD, {"RAY_AUTH_TOKEN": "a"})
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("a token\n")
    check_token(HEAD, {})


def test_an_empty_file_holds_no_token_even_where_another_does(home: Path) -> None:
    (home / ".ray").mkdir()
    (home / ".ray" / "auth_token").write_text("a token\n")
    (home / "empty").write_text("\n")
    with pytest.raises(ValueError, match="empty holds no token"):
        check_token(HEAD, {"RAY_AUTH_TOKEN_PATH": str(home / "empty")})
    (home / "empty").write_text("a token\n")
    check_token(HEAD, {"RAY_AUTH_TOKEN_PATH": str(home / "empty")})


@pytest.mark.parametrize("address", ["local", HEAD])
def test_a_cluster_that_asks_for_no_token_is_refused(address: str) -> None:
    with pytest.raises(ValueError, match=r"RAY_AUTH_MODE=disabled lets anyone .* run code .*; set RAY_AUTH_MODE=token"):
        check_token(address, {"RAY_AUTH_MODE": "disabled", "RAY_AUTH_TOKEN": "a"})


@pytest.mark.parametrize("address", ["ray://10.0.0.5:10001", "auto", "10.0.0.5"])
def test_an_address_is_that_of_the_head(address: str) -> None:
    with pytest.raises(ValueError, match=r"such as 10\.0\.0\.5:6379, or local"):
        check_token(address, {"RAY_AUTH_TOKEN": "a"})


def test_the_settings_name_the_variable(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("segviz.settings.find_spec", lambda name: object())
    with pytest.raises(SettingError, match=rf"^SEGVIZ_RAY_ADDRESS={HEAD}: .* holds no token"):
        check_cluster(HEAD, {})
    monkeypatch.setattr("segviz.settings.find_spec", lambda name: None)
    with pytest.raises(
        SettingError, match=r"SEGVIZ_BACKEND=ray needs Ray, which is not installed; pip install 'ray\[serve\]'"
    ):
        check_cluster("local", {})


def test_the_app_does_not_start_where_its_cluster_has_no_token(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'ray[serve]' to run these tests")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    environment |= {"SEGVIZ_BACKEND": "ray", "SEGVIZ_RAY_ADDRESS": HEAD, "HOME": str(tmp_path)}
    code = "from segviz.settings import settings; settings()"
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, text=True)
    assert f"SettingError: SEGVIZ_RAY_ADDRESS={HEAD}: {tmp_path}/.ray/auth_token holds no token" in ran.stderr


@pytest.mark.slow
def test_no_command_and_no_page_imports_ray_unless_asked() -> None:
    code = (
        "import sys, importlib, pkgutil, segviz\n"
        "for module in pkgutil.walk_packages(segviz.__path__, 'segviz.'):\n"
        "    own = '.ray_' in module.name.replace('ray_token', '') or module.name.startswith('segviz.cluster.')\n"
        "    if not own and not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "from segviz.cli.parser import build_parser; build_parser()\n"
        "print('ray' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip().splitlines()[-1:] == ["False"], ran.stderr


def test_the_extra_asks_for_the_version_that_security_names() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (wanted,) = project["optional-dependencies"]["ray"]
    assert wanted in (ROOT / "requirements-dev.txt").read_text().splitlines()
    assert f"Ray {wanted.partition('>=')[2]} is the oldest that is allowed" in (ROOT / "SECURITY.md").read_text()
    assert 'pip install --no-cache-dir -c constraints.txt "ray[serve]"' in (ROOT / "Dockerfile").read_text()


OPS = (
    Predict(),
    MeasureInfluence((3, 4)),
    CompareFeatures("deep"),
    Attribute("occlusion", Target(1, mask=np.zeros((8, 8), bool)), Options()),
    Watch(("blocks.0",), place=(3, 4)),
    CompareLayer("blocks.0", (4, 5)),
    CompareStage("deep"),
)


@pytest.mark.parametrize("op", OPS, ids=lambda op: type(op).__name__)
def test_what_goes_to_a_replica_is_our_own_classes_and_decoded_pixels(op: Op) -> None:
    class Naming(pickle.Unpickler):
        def find_class(self, module: str, name: str) -> object:
            named.add((module.partition(".")[0], name))
            return super().find_class(module, name)

    named: set[tuple[str, str]] = set()
    picture = np.zeros((8, 8, 3), np.uint8)
    sent = RemoteRequest(FileModels().portable("fla", "a digest"), Request("fla", picture, op), 1)
    Naming(io.BytesIO(pickle.dumps(sent, protocol=5))).load()
    others = {name for package, name in named if package != "segviz"}
    assert others <= {"_frombuffer", "_reconstruct", "ndarray", "dtype", "PosixPath", "WindowsPath"}, others


def test_every_op_is_looked_at() -> None:
    import segviz.engine as engine

    ops = {name for name in engine.__all__ if hasattr(getattr(engine, name), "need") and name != "Op"}
    assert ops == {type(op).__name__ for op in OPS}
