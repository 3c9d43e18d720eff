"""The models that Compare begins with: networks of one's own that can be compared, or the bundled ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from segviz.catalogue.bundled import bundled_record
from segviz.catalogue.own_models import own_models
from segviz.engine import BusyError, EngineError, TooLargeError, Watch, engine
from segviz.text import join_with_commas
from segviz.ui.models import short_title
from segviz.ui.network_answer import describe_answer
from segviz.ui.picture import Picture
from segviz.ui.state import FirstCompared
from segviz.ui.wait_for_engine import session_id, wait_for

TRIED = 2  # own networks that are asked, for each model that the page begins with: a catalogue may hold hundreds


@dataclass
class OwnClasses:
    """What the first networks of one's own answer.

    Attributes:
        classes: the names of the classes of those that have some, by network.
        without: why the others cannot be compared, in words, by network.
        settled: whether none of the reasons may be gone at the next try.
    """

    classes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    without: dict[str, str] = field(default_factory=dict)
    settled: bool = True


def choose_first(picture: Picture, bundled: Sequence[str]) -> FirstCompared:
    """The models that the page begins with.

    All have the classes of the first network of one's own that answers with classes, as only such answers disagree. A
    network that stands alone stands beside the bundled models, if it has their classes.

    Args:
        picture: what the networks see.
        bundled: the bundled models that a page without networks of one's own begins with.
    """
    if not own_models():
        return FirstCompared(list(bundled))
    found = ask_own_networks(picture, len(bundled) or 1)
    if not found.classes:
        none = f"None of your networks can be compared: {list_reasons(found.without)}."
        return FirstCompared(list(bundled), none, found.settled)
    first, classes = next(iter(found.classes.items()))
    chosen = [name for name, names in found.classes.items() if names == classes]
    others = {name: "other classes" for name in found.classes if name not in chosen}
    if len(chosen) == 1:
        records = {name: bundled_record(name) for name in bundled}
        chosen += [name for name, one in records.items() if one is not None and one.classes == classes]
    left_out = others | found.without
    if not left_out:
        return FirstCompared(chosen)
    whose = f"models of the classes of {short_title(first)}" if len(chosen) > 1 else short_title(first)
    words = f"The page begins with {whose}. Left out, but offered under Models: {list_reasons(left_out)}."
    return FirstCompared(chosen, words, found.settled)


def list_reasons(reasons: dict[str, str]) -> str:
    """Networks, each with the reason why it cannot be compared."""
    return join_with_commas(f"{short_title(name)} ({reason})" for name, reason in reasons.items())


def ask_own_networks(picture: Picture, most: int) -> OwnClasses:
    """The classes of the first networks of one's own that have some, at most so many.

    What one says that fails is left to the page that the reader chooses it on.
    """
    found = OwnClasses()
    for name in list(own_models())[: TRIED * most]:
        if len(found.classes) == most:
            break
        try:
            result = wait_for(engine().ask(name, picture, Watch(), session_id()), f"{short_title(name)}: its classes")
            answer = describe_answer(name, result.value)
        except (ValueError, TooLargeError):
            found.without[name] = "cannot run"
        except EngineError as error:
            found.without[name] = "the server is busy" if isinstance(error, BusyError) else "gave no answer"
            found.settled = False
        else:
            if answer.classes is None:
                found.without[name] = "no classes"
            else:
                found.classes[name] = answer.classes.class_set.names
    return found
