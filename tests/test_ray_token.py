"""A cluster without a token is refused before anything needs it, in one sentence; a machine without Ray needs none."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

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
        SettingError, match=r"SEGVIZ_BACKEND=ray needs Ray, which is not installed; pip install 'segviz\[ray"
    ):
        check_cluster("local", {})


def test_the_app_does_not_start_where_its_cluster_has_no_token(tmp_path: Path) -> None:
    pytest.importorskip("ray", reason="Ray is not installed; pip install 'segviz[ray]' to run these tests")
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
        "    if '.ray_' not in module.name.replace('ray_token', '') and not module.name.endswith('__main__'):\n"
        "        importlib.import_module(module.name)\n"
        "from segviz.cli.parser import build_parser; build_parser()\n"
        "print('ray' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert ran.stdout.strip().splitlines()[-1:] == ["False"], ran.stderr
