"""How `bench` parses its subjects: each has its own options; an error says whose an option of another subject is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from segviz.cli.shared_options import Parser
from segviz.results.markdown import join_names


class SubjectParser(Parser):
    """The parser of one subject.

    Attributes:
        subjects: the parsers of all subjects by name.
    """

    subjects: Mapping[str, Parser] = {}

    def describe_unknown(self, words: Sequence[str]) -> str:
        """Whose option it is, or that one value is too many."""
        option = words[0].partition("=")[0]
        owners = self.name_owners(option)
        if owners:
            return f"{option} belongs to {join_names(owners)}, and does nothing in `{self.name}`; remove it"
        if not option.startswith("-"):
            return f"'{option}' is one value too many; the option before it takes fewer"
        return super().describe_unknown(words)

    def name_owners(self, option: str) -> list[str]:
        """The subjects that have an option."""
        return [f"bench {name}" for name, one in self.subjects.items() if option in one._option_string_actions]

    def suggest_option(self, option: str) -> str:
        """As for any command, but an option of another subject is not misspelled."""
        return "" if self.name_owners(option) else super().suggest_option(option)

    @property
    def name(self) -> str:
        """The command as people type it, such as "bench viewer"."""
        return " ".join(self.prog.split()[-2:])
