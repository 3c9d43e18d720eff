"""What the guard's pump has to know about Streamlit's messages: which are sound, and which replace the one before."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from weakref import WeakSet

from google.protobuf.message import DecodeError, Message
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.WidgetStates_pb2 import WidgetState

WIDGETS = 1000  # of one message; a page has some 50
SCRIPT_THREAD = "ScriptRunner.scriptThread"  # Streamlit's name of the threads that run a page's script
TRIGGERS = ("trigger_value", "string_trigger_value", "chat_input_value", "json_trigger_value")  # true for one run only


class RerunRules:
    """Streamlit's side of `message_rules.MessageRules`.

    Attributes:
        runs: how many runs have started so far.
    """

    def __init__(self) -> None:
        self.runs = 0
        self._known: WeakSet[threading.Thread] = WeakSet()

    def find_fault(self, message: bytes) -> str:
        """What is wrong with a message, "" if nothing is."""
        try:
            state = BackMsg.FromString(message).rerun_script
        except DecodeError:
            return "a message is not one of Streamlit's"
        if len(state.widget_states.widgets) > WIDGETS or len(state.cached_message_hashes) > WIDGETS:
            return f"a message names more than {WIDGETS} widgets or elements"
        return ""

    def supersedes(self, later: bytes, earlier: bytes) -> bool:
        """Whether both rerun the same page, and `later` says all that `earlier` says.

        Streamlit's browser sends the values of all widgets each time, so nothing is lost but values in between. An
        earlier message that has a button pressed, reruns a fragment or changes the page with widgets of its own stays.
        """
        before, after = read_rerun(earlier), read_rerun(later)
        if before is None or after is None or is_special(before) or is_special(after):
            return False
        widgets = {widget.id for widget in before.widget_states.widgets}
        same_page = (before.page_script_hash, before.page_name) == (after.page_script_hash, after.page_name)
        return (same_page or not widgets) and widgets <= {widget.id for widget in after.widget_states.widgets}

    def must_begin(self, message: bytes) -> bool:
        """Whether a widget has been pressed: Streamlit forgets that if the run is replaced before its callbacks."""
        state = read_rerun(message)
        return state is not None and any(is_pressed(widget) for widget in state.widget_states.widgets)

    def started_runs(self) -> Sequence[threading.Thread]:
        """The script threads that have started since this was last called; Streamlit starts them in the event loop."""
        threads = [each for each in threading.enumerate() if each.name == SCRIPT_THREAD and each not in self._known]
        self._known.update(threads)
        self.runs += len(threads)
        return threads


def read_rerun(message: bytes) -> ClientState | None:
    """What a message says of a rerun; None if it asks for something else."""
    back = BackMsg.FromString(message)
    return back.rerun_script if back.WhichOneof("type") == "rerun_script" else None


def is_special(state: ClientState) -> bool:
    """Whether a rerun is not simply one of the whole page with the values that its widgets have."""
    automatic = bool(state.fragment_id) or state.is_auto_rerun or state.is_history_navigation
    return automatic or any(is_pressed(widget) for widget in state.widget_states.widgets)


def is_pressed(widget: WidgetState) -> bool:
    """Whether a widget has a value for this run only, such as a button's."""
    kind = widget.WhichOneof("value")
    if kind not in TRIGGERS:
        return False
    value = getattr(widget, kind)
    return bool(value.ListFields()) if isinstance(value, Message) else bool(value)
