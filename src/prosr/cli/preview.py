"""`prosr upscale --preview`: a sheet that shows what becomes of one place of a picture."""

from __future__ import annotations

import re
import tempfile
from pathlib import Path

import numpy as np

from prosr.cli.options import check_output
from prosr.errors import ConfigError
from prosr.images.formats import find_format
from prosr.images.loading import shown
from prosr.images.metadata import Metadata
from prosr.images.reading import Picture
from prosr.images.samples import to_unit
from prosr.images.writing import Canvas
from prosr.inference.auto import load
from prosr.inference.upscaler import Upscaler
from prosr.jobs import Job
from prosr.sizes import Request

_PANEL, _GAP = 512, 8
"""Sides of the panels, and the width of the gaps, in pixels."""


def write_sheet(
    upscaler: Upscaler, jobs: list[Job], place: str, size: Request, out: str | None, over: bool
) -> str:
    """Write a PNG of the place "X,Y": the input, the bicubic and the network; return a line on it.

    X and Y are pixels of the picture as people see it. Raises `ConfigError` and `ImageError`.
    """
    if len(jobs) > 1 or jobs[0].kind == "clip":
        raise ConfigError("preview shows one place of one picture; name one picture")
    picture, (upscaler, _) = Picture(jobs[0].source), upscaler.suited(jobs[0].source)
    target = Path(out or jobs[0].target.with_name(f"{jobs[0].target.stem}_preview.png"))
    check_output(target, ".png", over)
    sides = picture.height, picture.width
    match = re.fullmatch(r"\s*(\d{1,9})\s*,\s*(\d{1,9})\s*", place)
    if not match or int(match[2]) >= sides[0] or int(match[1]) >= sides[1]:
        raise ConfigError(f"preview {place!r} is not X,Y within {sides[1]}×{sides[0]} pixels")
    ratio = upscaler.route(sides, size).ratio
    high, wide = (min(side, round(_PANEL / ratio)) for side in sides)
    top = min(max(int(match[2]) - high // 2, 0), sides[0] - high)
    left = min(max(int(match[1]) - wide // 2, 0), sides[1] - wide)
    with tempfile.TemporaryDirectory() as folder, picture.decoded(Path(folder)) as read:
        piece = to_unit(read()[top : top + high, left : left + wide])
    same = Request("scale", (ratio,), "")
    bicubic, ours = (one.upscale(piece, same) for one in (load("bicubic"), upscaler))
    rows, columns = (np.arange(ours.shape[i]) * piece.shape[i] // ours.shape[i] for i in (0, 1))
    gap = np.ones((len(ours), _GAP, picture.channels), np.float32)
    sheet = np.hstack((piece[rows][:, columns], gap, bicubic, gap, ours))
    depth = min(picture.dtype, np.dtype(np.uint16), key=lambda dtype: dtype.itemsize)
    of, colours = sheet.shape, Metadata(icc=picture.metadata.icc)
    with Canvas(target, find_format("png"), of[:2], of[2], depth, colours, over=over) as canvas:
        canvas.put(0, 0, sheet)
        canvas.save()
    return f"made     {shown(target)} (left to right: input, bicubic, {upscaler.name})"
