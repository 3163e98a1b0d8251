"""Recognises results of earlier runs by their provenance."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from prosr.errors import ImageError
from prosr.images.loading import refusal, shown
from prosr.images.provenance import Making, Origin, find_making, origin_of
from prosr.images.reading import Picture
from prosr.scales import SCALES
from prosr.sizes import LABEL, Request, requested
from prosr.video import is_clip

_ENLARGED = re.compile(rf"_{LABEL}\Z")


def making_of(path: Path) -> Making:
    """The provenance of a picture or clip; empty if it cannot be read."""
    try:
        if not is_clip(path):
            return Picture(path).making
        from prosr.video.clips import open_clip

        return find_making(open_clip(path).comment)
    except ImageError:
        return Making()


def results_among(sources: Sequence[Path]) -> set[Path]:
    """The `sources` that are results of other sources.

    A source is opened only if it has the name of another one, with or without "_x4". It is a result
    if it was made from a file with the path or content of such a source.
    """
    named: defaultdict[tuple[bool, str], list[Path]] = defaultdict(list)
    for path in sources:
        named[is_clip(path), path.stem].append(path)
    place = cache(lambda path: origin_of(path, read=False).place)
    content = cache(_content)

    def is_result(path: Path) -> bool:
        names = {(is_clip(path), stem) for stem in (path.stem, _ENLARGED.sub("", path.stem))}
        others = [other for name in names for other in named.get(name, ()) if other != path]
        origin = making_of(path).origin if others else Origin()
        # A file at its own source path has replaced the source.
        if not origin.content or origin.place == place(path):
            return False
        return any(origin.place == place(other) for other in others) or any(
            origin.content == content(other) for other in others
        )

    return set(filter(is_result, sources))


def _content(path: Path) -> str:
    try:
        return origin_of(path).content
    except ImageError:
        return ""


def is_done(source: Path, target: Path, mark: str, scale: Request | float) -> bool:
    """Whether `target` is the result, with this mark, of `source` in its current state.

    Or a copy of `source`, if it has the requested size already.
    False if the source has changed. Raises `ImageError` if the target was made from another file or
    by another network, or cannot be read.
    """
    if not os.access(target, os.R_OK):
        raise refusal(target, "cannot be read; allow reading or give another output")
    making = making_of(target)
    if making.mark != mark and not _is_copy(source, target, requested(scale)):
        what = f"made by {making.mark}" if making.mark else "not known to be made by prosr"
        raise ImageError(f"{shown(target)} exists, {what}; replace it with --overwrite")
    origin, now = making.origin, origin_of(source, read=False)
    if making.mark != mark or origin[1:] == now[1:] or origin.content == origin_of(source).content:
        return True
    if origin.place != now.place:
        raise ImageError(
            f"{shown(target)} exists, made from another file than {shown(source)}; "
            "give another output, or replace it with --overwrite"
        )
    return False


def _is_copy(source: Path, target: Path, request: Request) -> bool:
    if is_clip(source) or request.settings or _content(target) != _content(source):
        return False
    size = (picture := Picture(source)).height, picture.width
    return request.route(size, SCALES, direct=True).size == size
