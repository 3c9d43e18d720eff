"""A worker of a command's run imports what its job needs, without torch's compiler; Ray itself is not needed here."""

from __future__ import annotations

import pickle
import subprocess
import sys

from segviz.cli.main import read_command
from segviz.cli.pictures import open_predict_work
from segviz.cli.worker_jobs import PictureJob, pack_model
from segviz.cluster.picture_worker import NotReady, PictureWorker

CODE = """
import sys
from segviz.cluster.picture_worker import PictureWorker
print("torch" in sys.modules)
report = PictureWorker(threads=1).open(sys.stdin.buffer.read())
import torch
print(report.torch == torch.__version__, torch.get_num_threads())
print([name for name in sys.modules if name.startswith(("torch._dynamo", "torch._inductor", "sympy."))])
"""


def test_a_worker_imports_torch_with_its_job_and_not_torchs_compiler() -> None:
    options = read_command(["predict", "scene:1", "--model", "fcn", "--out", "unused", "--device", "cpu"])
    job = pickle.dumps(PictureJob(options, pack_model(options), open_predict_work))
    said = subprocess.run([sys.executable, "-c", CODE], input=job, capture_output=True, check=True).stdout
    assert said.decode().splitlines() == ["False", "True 1", "[]"]


def test_a_job_that_cannot_be_read_is_what_the_worker_says() -> None:
    assert isinstance(PictureWorker(threads=1).open(b"no pickle"), NotReady)
