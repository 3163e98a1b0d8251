"""A clip enlarged frame by frame, in segments from which a later run resumes.

A hidden folder beside the result holds the finished segments. At the end they are joined with the
clip's other streams, which are not encoded again.
"""

from __future__ import annotations

import hashlib
import math
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from itertools import chain, count, islice, takewhile
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import av.error
from av.container import OutputContainer
from av.video.stream import VideoStream
from numpy.typing import NDArray

from prosr.errors import ImageError
from prosr.files import TargetExistsError, only_here, replacing
from prosr.images.loading import refusal, shown
from prosr.images.provenance import Making, origin_of
from prosr.inference.estimates import Estimate
from prosr.inference.memory import LEAST
from prosr.inference.resizing import fitted
from prosr.inference.upscaler import Progress, Upscaler
from prosr.scales import SCALES
from prosr.sizes import Request, requested
from prosr.video.clips import Clip, address, explaining, from_rgb, open_clip
from prosr.video.fitting import check_streams, trouble
from prosr.video.streams import join, light_options, losses

_SEGMENT = 48
"""Frames in a segment: two seconds of film."""

_QUALITY = {"crf": "16", "preset": "medium", "bf": "0", "rc-lookahead": "10", "threads": "2"}
"""Losses that are hardly visible. Without B-frames, segments are joined by writing one's packets
after the other's. A short lookahead keeps few frames in memory."""

_FRAMES_HELD = 34
"""Memory for encoding, in RGB frames of the result. Measured: 30 frames at 1280×720 to 2560×1440 in
8 bits, 29 in 10 bits (PyAV 18, two threads)."""

_CUT_OFF = 1.0
"""Seconds by which a result may be shorter than its clip without a remark."""


def estimate(upscaler: Upscaler, source: Path, target: Path, scale: Request | float) -> Estimate:
    """Estimate the cost of `enlarge` from a trial of two frames; nothing is written."""
    clip = open_clip(source)
    request, (height, width), _ = _sized(clip, scale, upscaler.scales)
    check_target(clip, target, (height, width))
    # The first frame takes longer than the others.
    for _, samples in islice(clip.read(0), 2):
        start = perf_counter()
        upscaler.upscale(samples, request)
        seconds = perf_counter() - start
    frames = _frame_memory(clip, height * width)
    memory = upscaler.memory((clip.height, clip.width), request) + frames
    return Estimate(width, height, clip.frames, clip.frames * seconds, memory, "frame")


def reserve(path: Path, scale: Request | float, max_memory: int) -> int:
    """Bytes that the frames of the clip's result take, in addition to the upscaler.

    Raises `ImageError` if they leave less than `LEAST` of `max_memory` for the upscaler.
    """
    clip = open_clip(path)
    held = _frame_memory(clip, math.prod(_sized(clip, scale, SCALES)[1]))
    if (need := held + LEAST) > max_memory:
        limit = f"a memory limit of {math.ceil(need / 1e6)} MB"
        raise refusal(path, f"its enlarged frames need {limit}; raise it or use a smaller scale")
    return held


def _frame_memory(clip: Clip, pixels: int) -> int:
    return _FRAMES_HELD * (6 if clip.colours.deep else 3) * pixels


def _sized(
    clip: Clip, scale: Request | float, scales: Sequence[int]
) -> tuple[Request, tuple[int, int], str]:
    """The request for the stored frames, their new size, and a remark. Raises `ImageError`."""
    request, even = requested(scale), "444" not in clip.colours.pixel_format
    request = request.turned() if clip.rotation % 180 else request
    return fitted(clip.path, request, (clip.height, clip.width), scales, even)


def enlarge(
    upscaler: Upscaler,
    path: Path,
    target: Path,
    scale: Request | float,
    progress: Progress | None = None,
    over: bool = True,
) -> list[str]:
    """Write the enlarged clip; return a line for all that is lost or doubtful.

    The clip keeps its frame times, rotation, pixel aspect, colour tags and other streams. After an
    interruption, a call with the same network and the same content of the clip resumes with the
    first segment that is missing. `progress` gets the number of finished frames and of all frames.
    Raises `ImageError`, `ConfigError` if another process enlarges the clip, and
    `TargetExistsError` if the target has appeared and is not to be written `over`.
    """
    clip = open_clip(path)
    request, size, remark = _sized(clip, scale, upscaler.scales)
    check_target(clip, target, size)
    making = Making(upscaler.mark(scale), origin_of(path))
    tell = progress or (lambda done, total: None)
    with explaining(target), _segments(target, making) as folder:
        done = len(_finished(folder)) * _SEGMENT
        tell(done, max(done, clip.frames))
        damaged: list[int] = []
        frames = clip.read(done, damaged.append)
        for first in frames:
            segment = chain((first,), islice(frames, _SEGMENT - 1))
            larger = ((start, upscaler.upscale(frame, request)) for start, frame in segment)
            with replacing(folder / f"{done // _SEGMENT:06}.nut") as temporary:
                for _ in _encode(larger, clip, size, temporary):
                    done += 1
                    tell(done, max(done, clip.frames))
        with replacing(target, over) as temporary:
            end, gap = join(_finished(folder), clip, temporary, str(making))
            notes = [*filter(None, [remark, gap]), *losses(path, temporary)]
        shutil.rmtree(folder)
    if damaged:
        notes.append(f"damaged frames in the clip: {len(damaged)}, the first is {damaged[0]}")
    if clip.seconds - end > _CUT_OFF:
        notes.append(f"ends at {end:.1f} of {clip.seconds:.1f} s: the clip seems to be truncated")
    return [f"{shown(target)}: {note}" for note in notes]


def check_target(clip: Clip, target: Path, size: tuple[int, int]) -> None:
    """Raise `ImageError`, with a remedy, if `target` cannot hold the film, sound or subtitles."""
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, f"trial{target.suffix}")
        if why := trouble(trial, partial(_add_frames, clip=clip, size=size)):
            what = f"{size[1]}×{size[0]} pixels cannot be encoded as H.264"
            raise refusal(target, f"{what} ({why}); use a smaller scale")
        check_streams(clip.path, target, trial)


def _add_frames(output: OutputContainer, clip: Clip, size: tuple[int, int]) -> VideoStream:
    options = _QUALITY | light_options(clip.path)
    stream = output.add_stream("libx264", rate=clip.rate, options=options)
    assert isinstance(stream, VideoStream)
    context, tags = stream.codec_context, clip.colours.tags
    context.height, context.width = size
    context.pix_fmt = clip.colours.pixel_format
    context.time_base = stream.time_base = clip.time_unit
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
    if clip.pixel_aspect:
        context.sample_aspect_ratio = clip.pixel_aspect
    return stream


@contextmanager
def _segments(target: Path, making: Making) -> Iterator[Path]:
    """The folder with the segments of one clip, network and scale, for this process only.

    The name depends on the clip's content, not on its dates, which a backup may change. The folder
    is removed if it has no finished segment, or if the clip is damaged.
    """
    what = f"{making.mark} of {making.origin.content} {_QUALITY}"
    digest = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    folder = target.with_name(f".{target.stem[:50]}.{digest}.segments")
    with only_here(folder):
        try:
            yield folder
        except ImageError as error:
            if not isinstance(error, TargetExistsError):
                shutil.rmtree(folder, ignore_errors=True)
            raise
        finally:
            if not _finished(folder):
                shutil.rmtree(folder, ignore_errors=True)


def _finished(folder: Path) -> list[Path]:
    """The finished segments, from the first to the first gap. Removes unfinished ones."""
    for unfinished in folder.glob(".*.nut"):
        unfinished.unlink(missing_ok=True)
    return list(takewhile(Path.exists, (folder / f"{number:06}.nut" for number in count())))


def _encode(
    frames: Iterator[tuple[int, NDArray[Any]]], clip: Clip, size: tuple[int, int], path: Path
) -> Iterator[None]:
    """Write a segment of frames, each with its start; yields after each."""
    with av.open(address(path), "w", format="nut") as output:
        stream = _add_frames(output, clip, size)
        for start, samples in frames:
            picture = from_rgb(samples, clip.colours)
            picture.pts, picture.time_base = start, clip.time_unit
            output.mux(stream.encode(picture))
            yield
        output.mux(stream.encode(None))
