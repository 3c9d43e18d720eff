"""The kinds of colour scale. The server reads them before it listens, so this file imports nothing heavy."""

from typing import Literal

ScaleKind = Literal["linear", "log", "percentile"]
