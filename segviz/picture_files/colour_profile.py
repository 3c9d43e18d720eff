"""Colour profiles (ICC): colours become sRGB, which the networks were trained on and browsers show."""

from __future__ import annotations

import io
from collections.abc import Callable

import numpy as np
from PIL import Image, ImageCms

from segviz.picture_files.errors import ImageError

MAX_PROFILE_BYTES = 4 * 1024**2  # those of printers have 1 to 3 MB
MODES = {"RGB": "RGB", "GRAY": "L", "CMYK": "CMYK"}  # of the profiles' colour spaces
REACHED_FROM = {"RGB": ("L", "RGB", "YCbCr"), "L": ("L",), "CMYK": ("CMYK",)}  # modes that convert without a loss
GRID_LEVELS = 16  # levels per channel at which a profile is compared with sRGB
Transform = Callable[[Image.Image], Image.Image]


def make_transform(picture: Image.Image, mode: str) -> Transform | None:
    """The conversion from a picture's profile to sRGB, for pictures of a mode without alpha.

    None if there is no profile, if it is sRGB to within a level, or if it is damaged or for other colours: browsers
    pass over such profiles too.

    Raises:
        ImageError: the profile is larger than 4 MB.
    """
    profile = picture.info.get("icc_profile")
    if not isinstance(profile, bytes) or not profile:
        return None
    if len(profile) > MAX_PROFILE_BYTES:
        raise ImageError(
            f"the picture's colour profile has {len(profile) / 1024**2:.1f} MB; at most "
            f"{MAX_PROFILE_BYTES // 1024**2} MB are read, so save it as sRGB"
        )
    try:
        source = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        takes = MODES[source.profile.xcolor_space.strip()]
        transform = ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), takes, "RGB")
    except (ImageCms.PyCMSError, OSError, KeyError, ValueError):
        return None
    if mode not in REACHED_FROM[takes]:
        return None

    def convert(band: Image.Image) -> Image.Image:
        return transform.apply(band if band.mode == takes else band.convert(takes))

    return None if takes != "CMYK" and changes_nothing(convert, takes) else convert


def changes_nothing(transform: Transform, mode: str) -> bool:
    """Whether a conversion keeps all colours to within a level: programs round differently."""
    levels = np.linspace(0, 255, 256 if mode == "L" else GRID_LEVELS).round().astype(np.uint8)
    grid = levels[None] if mode == "L" else np.stack(np.meshgrid(levels, levels, levels), -1).reshape(1, -1, 3)
    sample = Image.fromarray(grid)
    return bool(np.abs(np.asarray(transform(sample)).astype(int) - np.asarray(sample.convert("RGB"))).max() <= 1)
