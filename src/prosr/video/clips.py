"""Opens a clip, and converts between its frames and RGB arrays."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.reformatter import ColorRange, Colorspace, Interpolation
from av.video.stream import VideoStream
from numpy.typing import NDArray

from prosr.images.loading import refusal

_READ = {"format_whitelist": "mov,matroska,avi,mpegts,mpeg,mpegvideo,m4v,flv,ogg,asf,mxf,dv,nut"}
"""Containers that are read. Others could refer to other files, local or on the network."""

_EXACTLY = Interpolation.BICUBIC | Interpolation.ACCURATE_RND | Interpolation.FULL_CHR_H_INT
"""Without the last two, 4:2:0 becomes one level too dark."""

_HD_LINES = 720
"""At this height, frames without a stated colour matrix count as BT.709, as in players."""

TEXTS = "surrogateescape"
"""Error handler for titles and the like that are not UTF-8; it keeps their bytes."""


@dataclass(frozen=True)
class Colours:
    """Coding of a clip's samples, which the result keeps.

    `tags` are range, matrix, primaries and transfer as the file states them. `deep` samples
    have 10 bits instead of 8.
    """

    pixel_format: str
    matrix: int
    range: ColorRange
    tags: tuple[int, int, int, int]
    deep: bool


@dataclass(frozen=True)
class Clip:
    """An opened clip. `width` and `height` are those of the stored frames, not rotated.

    `frames` is an estimate. `seconds` is the duration that the file states, with sound and
    subtitles, or 0. Times count `time_unit` seconds. `rotation` is in degrees, counter-clockwise.
    """

    path: Path
    width: int
    height: int
    frames: int
    rate: Fraction
    time_unit: Fraction
    rotation: int
    pixel_aspect: Fraction | None
    seconds: float
    colours: Colours
    comment: str

    def read(
        self, skip: int, damaged: Callable[[int], object] = lambda number: None
    ) -> Iterator[tuple[int, NDArray[Any]]]:
        """Start and samples, [H, W, 3] uint8 or uint16, of all frames after the first `skip`.

        Frames with the same start, which containers cannot hold, are moved apart by one time
        unit. `damaged` gets the number of each frame that is only partly decoded. Raises
        `ImageError`.
        """
        start = last = -math.inf
        with reading(self.path) as source:
            for number, frame in enumerate(source.decode(film_of(source))):
                size = frame.height, frame.width
                if frame.pts is None or frame.pts < last or size != (self.height, self.width):
                    raise refusal(
                        self.path,
                        f"frame {number} has no time, an earlier time than the frame before, or "
                        "another size; encode the clip again first",
                    )
                start, last = max(frame.pts, start + 1), frame.pts
                if frame.is_corrupt:
                    damaged(number)
                if number >= skip:
                    yield int(start), to_rgb(frame, self.colours)


def open_clip(path: Path) -> Clip:
    """Read all but the frames. Raises `ImageError` for a clip that cannot be enlarged."""
    with reading(path) as source:
        stream = film_of(source)
        first = next(source.decode(stream), None)
        if first is None or stream.time_base is None:
            raise refusal(path, "has no frame that can be decoded")
        if first.interlaced_frame:
            raise refusal(path, "is interlaced; make it progressive first")
        # VP8 and VP9 keep alpha in separate packets, which the decoder does not expose.
        beside = {key.lower(): value for key, value in stream.metadata.items()}.get("alpha_mode")
        if beside == "1" or any(part.is_alpha for part in first.format.components):
            hint = "extract its frames, then enlarge those"
            raise refusal(path, f"has transparency, which H.264 cannot hold; {hint}")
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        seconds = (source.duration or 0) / av.time_base
        return Clip(
            path,
            first.width,
            first.height,
            stream.frames or max(1, round(seconds * rate)),
            rate,
            stream.time_base,
            int(first.rotation),
            stream.sample_aspect_ratio or None,
            float(seconds),
            _colours(first),
            source.metadata.get("comment", source.metadata.get("COMMENT", "")),
        )


def film_of(source: InputContainer) -> VideoStream:
    """The first film, which is enlarged; not a cover. Raises `ImageError` if there is none."""
    for film in source.streams.video:
        if not film.disposition & Disposition.attached_pic:
            return film
    path = Path(source.name.removeprefix("file:"))
    raise refusal(path, "has no pictures, only sound or text")


def to_rgb(frame: VideoFrame, colours: Colours) -> NDArray[Any]:
    """[H, W, 3], uint16 for deep colours and else uint8, by the clip's matrix and range."""
    rgb = frame.reformat(
        format="rgb48le" if colours.deep else "rgb24",
        src_colorspace=colours.matrix,
        src_color_range=ColorRange.JPEG if _is_rgb(frame) else colours.range,
        dst_color_range=ColorRange.JPEG,
        interpolation=_EXACTLY,
    )
    return np.ascontiguousarray(rgb.to_ndarray())


def from_rgb(samples: NDArray[Any], colours: Colours) -> VideoFrame:
    """The inverse of `to_rgb`: a frame in the clip's pixel format, matrix and range."""
    rgb = VideoFrame.from_ndarray(samples, "rgb48le" if samples.dtype == np.uint16 else "rgb24")
    return rgb.reformat(
        format=colours.pixel_format,
        dst_colorspace=colours.matrix,
        src_color_range=ColorRange.JPEG,
        dst_color_range=colours.range,
        interpolation=_EXACTLY,
    )


@contextmanager
def explaining(path: Path) -> Iterator[None]:
    """Turn errors of PyAV and of the system about `path` into `ImageError`."""
    try:
        yield
    except (av.error.FFmpegError, OSError) as error:
        raise refusal(path, str(error.strerror or error)) from error


@contextmanager
def reading(path: Path) -> Iterator[InputContainer]:
    """Open a clip. Raises `ImageError` for any problem, also while it is read."""
    with explaining(path):
        try:
            with open_container(path) as source:
                yield source
        # PyAV raises `IndexError` for a stream that begins in the middle of a file.
        except (av.error.InvalidDataError, av.error.ArgumentError, IndexError) as error:
            why = "is damaged or not a clip; if it plays, encode it again first"
            raise refusal(path, why) from error


def open_container(path: Path) -> InputContainer:
    """Open a file as a clip, whatever its name. Raises what PyAV raises."""
    return av.open(address(path), options=_READ, metadata_errors=TEXTS)


def address(path: Path) -> str:
    """The path for PyAV, which would parse the part before a colon as a protocol."""
    return f"file:{path}"


def _is_rgb(frame: VideoFrame) -> bool:
    return frame.format.is_rgb or frame.format.name == "pal8"


def _colours(frame: VideoFrame) -> Colours:
    """The nearest coding that H.264 has: 4:2:0, 4:2:2 or 4:4:4 in 8 or 10 bits.

    RGB becomes 4:4:4, with the matrix and range that players assume if none are stated.
    """
    known = frame.format
    chroma = known.chroma_width(8), known.chroma_height(8)
    gray = len(known.components) == 1 and not _is_rgb(frame)
    sampling = "420" if gray else {(4, 4): "420", (4, 8): "422"}.get(chroma, "444")
    deep = known.components[0].bits > 8
    name = f"yuv{sampling}p{'10le' if deep else ''}"
    guess = Colorspace.ITU709 if frame.height >= _HD_LINES else Colorspace.ITU601
    matrix = frame.colorspace if frame.colorspace in set(Colorspace) else guess
    full = frame.color_range == ColorRange.JPEG or known.name.startswith("yuvj")
    coded = ColorRange.JPEG if full else ColorRange.MPEG
    stated = int(frame.color_range), int(frame.colorspace)
    if _is_rgb(frame):
        matrix, coded = guess, ColorRange.MPEG
        stated = int(ColorRange.MPEG), int(guess)
    tags = *stated, int(frame.color_primaries), int(frame.color_trc)
    return Colours(name, int(matrix), coded, tags, deep)
