"""Small hand-written networks, as a user would write them, in files of their own."""

from __future__ import annotations

from pathlib import Path

import network_cases as cases
import torch

NET = '''
import torch
from torch import nn


class Net(nn.Module):
    """A CNN with two layers of nn.MultiheadAttention, and three classes."""

    def __init__(self, classes=3):
        super().__init__()
        self.stem = nn.Conv2d(3, 16, 16, 16)
        self.first = nn.MultiheadAttention(16, 2, batch_first=True)
        self.second = nn.MultiheadAttention(16, 4, batch_first=True)
        self.classes = nn.Conv2d(16, classes, 1) if classes else None

    def forward(self, x):
        x = self.stem(x)
        tokens = x.flatten(2).mT
        tokens = tokens + self.first(tokens, tokens, tokens)[0]
        tokens = tokens + self.second(tokens, tokens, tokens, need_weights=False)[0]
        x = tokens.mT.unflatten(2, x.shape[2:])
        return x if self.classes is None else nn.functional.interpolate(self.classes(x), scale_factor=4.0)


class Convolutions(nn.Sequential):
    """No attention."""

    def __init__(self):
        super().__init__(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.Conv2d(4, 2, 1))


class Broken(nn.Module):
    def forward(self, x):
        raise KeyError("no such thing")


def seeded(make, *values):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        network = make(*values).eval()
        for one in network.parameters():
            one.data.mul_(2)  # so that weights differ from place to place
    return network


def build():
    return seeded(Net)


def build_without_classes():
    return seeded(Net, 0)


def build_convolutions():
    return seeded(Convolutions)


def build_broken():
    return Broken().eval()


def build_nothing():
    raise ImportError("No module named 'somewhere'")
'''

PATCHES = '''
from torch import nn


class Net(nn.Module):
    """Patches of 8, a layer of nn.MultiheadAttention for each name, and classes."""

    def __init__(self, classes={classes}):
        super().__init__()
        self.stem = nn.Conv2d(3, 8, 8, 8)
        for name in {layers!r}:
            setattr(self, name, nn.MultiheadAttention(8, 2, batch_first=True))
        self.head = nn.Conv2d(8, classes, 1)

    def forward(self, x):
        y = self.stem(x)
        tokens = y.flatten(2).mT
        for name in {layers!r}:
            tokens = tokens + getattr(self, name)(tokens, tokens, tokens)[0]
        return self.head(tokens.mT.unflatten(2, y.shape[2:]))
'''

MODELS = """
[[model]]
name = "net"
title = "My net"
source = "net.py:build"
classes = ["road", "sky", "car"]

[[model]]
name = "features"
source = "net.py:build_without_classes"

[[model]]
name = "plain"
source = "net.py:build_convolutions"

[[model]]
name = "broken"
source = "net.py:build_broken"

[[model]]
name = "missing"
source = "net.py:build_nothing"

[[model]]
name = "lost"
source = "lost.pth"

[[model]]
name = "published"
title = "CCNet of its authors"
source = "ccnet.pth"
classes = ["road", "sky", "car"]
assume = { passes = 2 }
"""


def patch_network(layers: tuple[str, ...], classes: int, more: str = "") -> str:
    """A file's code: the class `Net` on patches of 8, with these layers of attention, and what else the file has."""
    return PATCHES.format(layers=layers, classes=classes) + more


def write_networks(folder: Path) -> Path:
    """The networks' file, published weights, and the models.toml that names both; returns the latter's path."""
    (folder / "net.py").write_text(NET)
    write_published(folder / "ccnet.pth")
    (folder / "models.toml").write_text(MODELS)
    return folder / "models.toml"


def write_published(path: Path) -> None:
    """A CCNet as its authors store it, of a small width and with random values."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        torch.save(cases.ccnet(), path)
