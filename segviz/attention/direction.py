"""The two directions of a map. The server reads them before it listens, so this file imports nothing heavy."""

from typing import Literal

Direction = Literal["attends_to", "attended_by"]  # row p of the attention matrix, or column p
