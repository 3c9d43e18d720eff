"""Settings: read from the environment, named when wrong, and told in one table."""

from __future__ import annotations

import re
import subprocess
import sys
from ipaddress import ip_network
from pathlib import Path

import pytest

from segviz.cli.main import main
from segviz.settings import SettingError, check_names, read_settings, settings, settings_table

ROOT = Path(__file__).parents[1]


def test_what_is_not_set_is_at_its_default() -> None:
    assert read_settings({}) == read_settings({"SEGVIZ_VISITORS": " ", "OTHER": "1"})
    assert read_settings({}).visitors == 200
    assert read_settings({}).allowed_hosts == ()


def test_what_is_set_is_read() -> None:
    given = read_settings(
        {
            "SEGVIZ_ALLOWED_HOSTS": "Segviz.Example.org, *.lab.example,10.0.0.7,fe80::1",
            "SEGVIZ_METRICS_FROM": "10.0.0.0/8",
            "SEGVIZ_UPLOAD_RATE_KB": "0",
            "SEGVIZ_LOG_LEVEL": "INFO",
            "SEGVIZ_CHECKPOINTS": "/somewhere",
            "SEGVIZ_TRACEBACK": "1",
        }
    )
    assert given.allowed_hosts == ("segviz.example.org", "*.lab.example", "10.0.0.7", "fe80::1")
    assert given.metrics_from == (ip_network("10.0.0.0/8"),)
    assert (given.upload_rate_kb, given.log_level, given.traceback) == (0, "info", True)
    assert given.checkpoints == Path("/somewhere")


@pytest.mark.parametrize(
    ("name", "value", "cure"),
    [
        ("SEGVIZ_VISITORS", "0", "use a whole number from 1"),
        ("SEGVIZ_VISITORS", "many", "use a whole number"),
        ("SEGVIZ_WORKERS", "1.5", "use a whole number from 1"),
        ("SEGVIZ_MEMORY_MB", "0", "use a whole number from 1"),
        ("SEGVIZ_UPLOADS_MB", "-3", "use a whole number"),
        ("SEGVIZ_UPLOADS_MB", "1" * 40, "use a whole number"),
        ("SEGVIZ_ALLOWED_HOSTS", "https://segviz.example.org", "without scheme and port"),
        ("SEGVIZ_ALLOWED_HOSTS", "segviz.example.org:443", "without scheme and port"),
        ("SEGVIZ_ALLOWED_HOSTS", "*", "without scheme and port"),
        ("SEGVIZ_METRICS_FROM", "everyone", "such as 10.0.0.0/8"),
        ("SEGVIZ_LOG_LEVEL", "loud", "debug, info, warning, error"),
        ("SEGVIZ_TRACEBACK", "yes", "use 1 or 0"),
    ],
)
def test_a_bad_value_is_named_with_its_cure(name: str, value: str, cure: str) -> None:
    with pytest.raises(SettingError) as caught:
        read_settings({name: value})
    assert str(caught.value).startswith(f"{name}={value}: ")
    assert cure in str(caught.value)


def test_the_command_line_says_it_in_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGVIZ_CACHE_MB", "lots")
    settings.cache_clear()
    try:
        assert main(["models"]) == 2
    finally:
        settings.cache_clear()
    assert capsys.readouterr().err == "segviz: SEGVIZ_CACHE_MB=lots: use a whole number from 1 to 1000000\n"


def test_the_table_of_the_documents_is_the_one_of_the_code() -> None:
    text = (ROOT / "docs" / "deploy.md").read_text()
    (shown,) = re.findall(r"<!-- settings.*?-->\n(.*?)<!-- end of settings -->", text, re.DOTALL)
    assert shown.strip() == settings_table()
    printed = subprocess.run([sys.executable, "-m", "segviz.settings"], capture_output=True, text=True, cwd=ROOT)
    assert printed.stdout.strip() == settings_table()


def test_no_variable_is_read_beside_the_table() -> None:
    code = [ROOT / "app.py", *(ROOT / "segviz").rglob("*.py"), *(ROOT / "pages").glob("*.py")]
    named = {name for path in code for name in re.findall(r"SEGVIZ_[A-Z_]+[A-Z]", path.read_text())}
    assert named <= set(re.findall(r"SEGVIZ_\w+", settings_table()))


def test_a_folder_of_checkpoints_that_is_missing_stops_the_start(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("SEGVIZ_CHECKPOINTS", str(tmp_path / "not there"))
    settings.cache_clear()
    assert main(["models"]) == 2
    assert "not there: there is no such folder; create it" in capsys.readouterr().err
    (tmp_path / "not there").mkdir()
    assert main(["models"]) == 0
    settings.cache_clear()


@pytest.mark.parametrize(("name", "right"), [("CHECKPOINT", "CHECKPOINTS"), ("WORKER", "WORKERS"), ("QUEU", "QUEUE")])
def test_a_misspelt_setting_is_named(name: str, right: str) -> None:
    with pytest.raises(SettingError, match=f"SEGVIZ_{name} is not a setting; use SEGVIZ_{right}"):
        check_names({f"SEGVIZ_{name}": "x"})
    check_names({f"SEGVIZ_{right}": "x", "SEGVIZ_CAMVID": "another program's", name: "x"})
