"""The visitor's own picture: uploaded, kept for reloads of the page, or chosen among samples and earlier uploads."""

from __future__ import annotations

import streamlit as st
from streamlit.runtime import Runtime
from streamlit.runtime.memory_uploaded_file_manager import MemoryUploadedFileManager
from streamlit.runtime.uploaded_file_manager import UploadedFile

from segviz.data.scenes import SceneOptions
from segviz.image import MAX_BYTES, ImageError, decode, fit_within, largest_scale
from segviz.server.visits import COOKIE, KEPT_S, VISITS, is_visit, visit_mark
from segviz.text import escape_markdown, name_text, size_text
from segviz.ui.draw_street import draw_street
from segviz.ui.fair_semaphore import DECODING
from segviz.ui.linked_picture import ask_for_linked
from segviz.ui.picture import Picture
from segviz.ui.state import Upload, session
from segviz.ui.wait_for_engine import give_way, session_id

ANY_NAME = None  # type of an uploader: content decides, so that .jfif, .jpe and names without an ending are taken
DISPLAY_SIDE = 1280  # uploads are shown, and clicked, at up to this many pixels a side, or 1024 x 2048
PICTURE_HELP = (
    "PNG, JPEG, WebP, BMP or TIFF, up to 20 MB and 50 megapixels (WebP: 30). It stays in this server's memory, "
    f"also for reloads, until nobody has used it for {KEPT_S // 3600} hours."
)
NO_PICTURE = (
    "Upload a picture here, or drop it anywhere on the page. You can also take a sample, or go back to a drawn scene "
    "in the sidebar."
)
LOST_UPLOAD = (
    "The server no longer has your picture: it was restarted, it needed the memory, or the picture was not used for "
    f"{KEPT_S // 3600} hours. Upload it again; its points and settings are then applied to it."
)
SAMPLES = {
    "Crowded street": (11, SceneOptions(crowding=1.0, vehicle_size=1.4), (slice(None), slice(None))),
    "Portrait": (5, SceneOptions(vehicle_distance=9.0), (slice(None), slice(105, 375))),
    "Thin poles": (8, SceneOptions(pole_width=0.06, fence_length=40.0), (slice(None), slice(None))),
}  # by name: the street's number, its options, and the rows and columns that are cut out
STRIP_RATIO = 6  # a picture with sides further apart is one
ONE_COLOUR = 2  # differences of values up to this one are noise of a file's format
THUMBNAIL = 120  # pixels high


def own_picture() -> Picture | str | None:
    """The visitor's own picture, or why it cannot be used; None before there is one. Its controls are in the sidebar.

    While there is none, `show_drop_zone` has the controls.
    """
    restore_upload()
    state = session()
    file = st.session_state.get(state.uploader)
    if isinstance(file, UploadedFile):
        take_upload(file)
    elif state.upload is not None and isinstance(state.upload.result, str):
        state.upload = None  # the uploader forgets its file while a scene shows; a picture is kept, a refusal is not
    picture = None if state.upload is None else state.upload.result
    if isinstance(picture, Picture):
        st.caption(f"Shown: {escape_markdown(picture.name)}")
        if picture.file_size and picture.file_size != picture.size:
            (rows, columns), (height, width) = picture.file_size, picture.size
            st.caption(
                f"It has {columns} x {rows} pixels, and is shown at {width} x {height}; points are counted in these."
            )
        show_uploader()
        show_recent(picture)
    return picture


def show_uploader() -> None:
    """The uploader; `own_picture` takes its file in the next run."""
    st.file_uploader(
        "Photograph or other picture", ANY_NAME, max_upload_size=MAX_BYTES // 1024**2, key=session().uploader,
        help=PICTURE_HELP,
    )  # fmt: skip


def take_upload(file: UploadedFile) -> None:
    """Decode a new file, and free its bytes once they are a picture."""
    state = session()
    if state.upload is not None and state.upload.file_id == file.file_id:
        return
    result = decode_upload(file.name, file.getvalue())
    state.upload = Upload(file.file_id, result)
    if isinstance(result, Picture):
        keep_picture(result)
        manager = Runtime.instance().uploaded_file_mgr if Runtime.exists() else None
        if isinstance(manager, MemoryUploadedFileManager):
            manager.remove_file(session_id() or "", file.file_id)


def decode_upload(name: str, data: bytes) -> Picture | str:
    """A picture from a file's bytes, or a sentence on why it cannot be used."""
    try:
        with DECODING.turn(give_way):
            whole = decode(data)
        longest = max(DISPLAY_SIDE, round(max(whole.shape[:2]) * largest_scale(*whole.shape[:2])))
        return Picture(name, fit_within(whole, longest), file_size=(whole.shape[0], whole.shape[1]))
    except ImageError as error:
        return f"{name_text(name)} cannot be used: {error}."


def caveat_of(picture: Picture) -> str:
    """What to know about an own picture that shows little: it is a strip, or has no detail; "" for any other."""
    height, width = picture.file_size or picture.size
    if height * width == 1:
        return "This picture is a single pixel. Its labels and maps mean nothing."
    if picture.colour_range <= ONE_COLOUR:
        return (
            f"This picture has no detail: all of its {size_text((height, width))} pixels have one colour. Models label "
            "it, but neither labels nor maps tell anything about them."
        )
    if max(height, width) > STRIP_RATIO * min(height, width):
        longer, shorter = ("wide", "high") if width > height else ("high", "wide")
        times = round(max(height, width) / min(height, width))
        return (
            f"This picture is {times} times as {longer} as {shorter}, so it is shown as a strip of "
            f"{size_text(picture.size)} pixels. Cut out a part that is at most twice as {longer} as {shorter}."
        )
    return ""


# ---- kept for reloads --------------------------------------------------------------------------------------


def current_visit() -> str:
    """The id that the visitor's browser sent; "" where it sent none."""
    visit = str(st.context.cookies.get(COOKIE, ""))
    return visit if is_visit(visit) else ""


def keep_for_reloads(key: str, value: object, size: int) -> None:
    """Keep an object of `size` bytes for the visit's later sessions."""
    VISITS.put(current_visit(), key, value, size, session_id() or "")


def find_kept(key: str) -> object | None:
    """An object that the visit keeps; None if there is no such object, or not any more."""
    return VISITS.get(current_visit(), key)


def forget_kept(key: str) -> None:
    """Keep an object no longer."""
    VISITS.drop(current_visit(), key)


def keep_picture(picture: Picture) -> None:
    """Keep a picture for the visit's later sessions."""
    keep_for_reloads(picture.digest[:8], picture, picture.image.nbytes)


def picture_mark(picture: Picture) -> str:
    """What an address says of an own picture: eight digits of the visit, which alone can open it, and eight of it."""
    mark = visit_mark(current_visit())
    return mark and mark + picture.digest[:8]


def restore_upload() -> None:
    """Take the picture that the address names, in the first run of a session that follows another one."""
    state, link = session(), session().link
    if state.upload is not None or not is_own_link():
        return
    state.uploader = "upload again"  # after a lost connection the browser's uploader still lists the old file
    picture = VISITS.get(current_visit(), link.picture_mark[8:])
    if isinstance(picture, Picture):
        state.upload = Upload("", picture)


def return_to_upload() -> None:
    """Show the picture that the address names, which the browser went back to, if it is still kept."""
    picture = VISITS.get(current_visit(), session().link.picture_mark[8:]) if is_own_link() else None
    if isinstance(picture, Picture):
        session().upload = Upload("", picture)


def resume_own_picture() -> None:
    """Look for the visit's last picture, as if the address named it."""
    link, visit = session().link, current_visit()
    last = next((each for each in VISITS.values(visit) if isinstance(each, Picture)), None)
    if visit:
        link.own_picture, link.picture_mark = True, picture_mark(last) if last else visit_mark(visit)


def is_own_link() -> bool:
    """Whether the address names a picture of this very visit."""
    mark = visit_mark(current_visit())
    return bool(mark) and session().link.picture_mark[:8] == mark


# ---- choices -----------------------------------------------------------------------------------------------


def show_drop_zone() -> None:
    """What the page shows in place of its content while there is no picture to look at."""
    link = session().link
    text = NO_PICTURE if not link.own_picture else LOST_UPLOAD if is_own_link() else ask_for_linked()
    st.info(text, icon=":material/add_photo_alternate:")
    with st.container(key="drop_zone"):
        show_uploader()
    show_recent()
    st.caption("Or a sample, drawn by segviz and free to use:")
    for column, name in zip(st.columns(len(SAMPLES)), SAMPLES, strict=True):
        with column:
            sample = draw_sample(name)
            st.image(sample.image, width=round(THUMBNAIL * sample.size[1] / sample.size[0]), alt=f"Sample: {name}")
            st.button(name, key=f"sample {name}", on_click=choose_picture, args=(sample,))


def show_recent(current: Picture | None = None) -> None:
    """The visit's last pictures, except the current one."""
    recent = [each for each in VISITS.values(current_visit()) if isinstance(each, Picture)]
    others = [each for each in recent if current is None or each.digest != current.digest]
    if others:
        st.caption("Your last pictures:")
        with st.container(horizontal=True):
            for each in others:
                label, key = escape_markdown(each.name), f"recent {each.digest[:8]}"
                st.button(label, key=key, icon=":material/history:", on_click=choose_picture, args=(each,))


def choose_picture(picture: Picture) -> None:
    """Show a sample or an earlier upload."""
    session().upload = Upload("", picture)
    keep_picture(picture)


def draw_sample(name: str) -> Picture:
    """A sample, which is looked at like a photograph: without exact labels."""
    seed, options, part = SAMPLES[name]
    return Picture(f"sample: {name.lower()}", draw_street(seed, options).image[part].copy())
