"""Whether a network of one's own labels pixels, which a page has to know before it offers to write labels."""

from __future__ import annotations

from pathlib import Path

from segviz.catalogue.own_models import own_models
from segviz.data.scenes import SceneOptions
from segviz.engine import EngineError, Watch, engine
from segviz.ui.draw_street import draw_street
from segviz.ui.models import short_title
from segviz.ui.network_answer import describe_answer
from segviz.ui.picture import Picture
from segviz.ui.picture_sidebar import FIRST_SEED
from segviz.ui.state import session
from segviz.ui.wait_for_engine import session_id, wait_for


def lacks_classes(model: str) -> bool:
    """Whether a model is known to have no classes for pixels; a network that does not tell it otherwise is run.

    It sees the picture of the other pages, or the street with which they begin: the answer is the one that Inspect
    begins with.
    """
    entry = own_models().get(model)
    if entry is None or entry.classes is not None or Path(entry.source).is_file():  # files of weights: segmenters
        return False
    picture = session().picture
    if not isinstance(picture, Picture):
        picture = draw_street(FIRST_SEED, SceneOptions())
    try:
        value = wait_for(engine().ask(model, picture, Watch(), session_id()), short_title(model)).value
    except (ValueError, EngineError):  # the run says what is wrong
        return False
    return describe_answer(model, value).classes is None
