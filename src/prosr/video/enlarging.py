"""A clip enlarged frame by frame, in segments from which a later run resumes.

A hidden folder beside the result holds the finished segments. At the end they are joined with the
clip's sound and subtitles, without encoding again.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from itertools import chain, count, islice, pairwise, takewhile
from pathlib import Path
from time import perf_counter
from typing import Any

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from prosr.files import replacing
from prosr.images.loading import refusal, shown
from prosr.images.provenance import Making, origin_of
from prosr.inference.memory import LEAST
from prosr.inference.pictures import Estimate
from prosr.inference.upscaler import Progress, Upscaler
from prosr.video.clips import (
    TEXTS,
    Clip,
    address,
    explaining,
    from_rgb,
    open_clip,
    open_container,
    reading,
)

_NAMES = {"audio": "sound", "subtitle": "subtitles"}
"""Streams that are copied."""

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


def estimate(upscaler: Upscaler, source: Path, target: Path, scale: int) -> Estimate:
    """Estimate the cost of `enlarge` from a trial of two frames; nothing is written."""
    clip = open_clip(source)
    check_target(clip, target, scale)
    # The first frame takes longer than the others.
    for _, samples in islice(clip.read(0), 2):
        start = perf_counter()
        upscaler.upscale(samples, scale)
        seconds = perf_counter() - start
    size = scale * clip.width, scale * clip.height
    memory = upscaler.memory((clip.height, clip.width), scale) + _frame_memory(clip, scale)
    return Estimate(*size, clip.frames, clip.frames * seconds, memory, "frame")


def reserve(path: Path, scale: int, max_memory: int) -> int:
    """Bytes that the frames of the clip's result take, in addition to the upscaler.

    Raises `ImageError` if they leave less than `LEAST` of `max_memory` for the upscaler.
    """
    held = _frame_memory(open_clip(path), scale)
    if (need := held + LEAST) > max_memory:
        limit = f"a memory limit of {math.ceil(need / 1e6)} MB"
        raise refusal(path, f"its enlarged frames need {limit}; raise it or use a smaller scale")
    return held


def _frame_memory(clip: Clip, scale: int) -> int:
    sample = 6 if clip.colours.deep else 3
    return _FRAMES_HELD * sample * clip.width * clip.height * scale**2


def enlarge(
    upscaler: Upscaler, path: Path, target: Path, scale: int, progress: Progress | None = None
) -> str:
    """Write the enlarged clip; return a remark if the source seems to be truncated.

    The clip keeps its frame times, sound, subtitles, chapters, rotation, pixel aspect and colour
    tags. After an interruption, a call with the same network and the same content of the clip
    resumes with the first segment that is missing. `progress` gets the number of finished frames
    and of all frames. Raises `ImageError`.
    """
    clip = open_clip(path)
    check_target(clip, target, scale)
    making = Making(upscaler.mark(scale), origin_of(path))
    tell = progress or (lambda done, total: None)
    with explaining(target):
        folder = _folder(target, making)
        done = len(_finished(folder)) * _SEGMENT
        tell(done, max(done, clip.frames))
        frames = clip.read(done)
        for first in frames:
            segment = chain((first,), islice(frames, _SEGMENT - 1))
            larger = ((start, upscaler.upscale(samples, scale)) for start, samples in segment)
            with replacing(folder / f"{done // _SEGMENT:06}.nut") as temporary:
                for _ in _encode(larger, clip, scale, temporary):
                    done += 1
                    tell(done, max(done, clip.frames))
        with replacing(target) as temporary:
            end = _join(_finished(folder), clip, temporary, str(making))
        shutil.rmtree(folder)
    if clip.seconds - end > _CUT_OFF:
        return f"ends at {end:.1f} of {clip.seconds:.1f} s: the clip seems to be truncated"
    return ""


def check_target(clip: Clip, target: Path, scale: int) -> None:
    """Raise `ImageError`, with the remedy, if `target` cannot hold one of the streams.

    Begins a temporary file of the same format with each stream.
    """
    other = ".mp4" if target.suffix.lower() == ".mkv" else ".mkv"
    with tempfile.TemporaryDirectory() as folder, reading(clip.path) as source:
        trial = Path(folder, f"trial{target.suffix}")
        if why := _trouble(trial, partial(_add_frames, clip=clip, scale=scale)):
            size = f"{scale * clip.width}×{scale * clip.height} pixels"
            raise refusal(target, f"{size} cannot be encoded as H.264 ({why}); use a smaller scale")
        for kept in _kept(source):
            copy = partial(OutputContainer.add_stream_from_template, template=kept)
            if why := _trouble(trial, copy):
                name = _NAMES[kept.type]
                raise refusal(
                    target,
                    f"cannot hold the {name} of {shown(clip.path)} ({why}); "
                    f"give an output that ends in {other}, or remove the {name} first",
                )


def _trouble(path: Path, add: Callable[[OutputContainer], object]) -> str:
    """The reason why a file cannot contain the stream that `add` adds, or an empty string."""
    try:
        with av.open(str(path), "w") as output:
            add(output)
            output.start_encoding()
    # PyAV raises `ValueError` for codecs that a container does not know.
    except (av.error.FFmpegError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


def _add_frames(output: OutputContainer, clip: Clip, scale: int) -> VideoStream:
    stream = output.add_stream("libx264", rate=clip.rate, options=dict(_QUALITY))
    assert isinstance(stream, VideoStream)
    context, tags = stream.codec_context, clip.colours.tags
    context.width, context.height = scale * clip.width, scale * clip.height
    context.pix_fmt = clip.colours.pixel_format
    context.time_base = stream.time_base = clip.time_unit
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
    if clip.pixel_aspect:
        context.sample_aspect_ratio = clip.pixel_aspect
    return stream


def _kept(source: InputContainer) -> list[Stream]:
    return [stream for stream in source.streams if stream.type in _NAMES]


def _folder(target: Path, making: Making) -> Path:
    """The folder with the segments of one clip, network and scale.

    The name depends on the clip's content, not on its dates, which a backup may change.
    """
    what = f"{making.mark} of {making.origin.content} {_QUALITY}"
    digest = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    folder = target.with_name(f".{target.stem[:50]}.{digest}.segments")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _finished(folder: Path) -> list[Path]:
    """The finished segments, from the first to the first gap. Removes unfinished ones."""
    for unfinished in folder.glob(".*.nut"):
        unfinished.unlink(missing_ok=True)
    return list(takewhile(Path.exists, (folder / f"{number:06}.nut" for number in count())))


def _encode(
    frames: Iterator[tuple[int, NDArray[Any]]], clip: Clip, scale: int, path: Path
) -> Iterator[None]:
    """Write a segment of frames, each with its start; yields after each."""
    with av.open(address(path), "w", format="nut") as output:
        stream = _add_frames(output, clip, scale)
        for start, samples in frames:
            picture = from_rgb(samples, clip.colours)
            picture.pts, picture.time_base = start, clip.time_unit
            output.mux(stream.encode(picture))
            yield
        output.mux(stream.encode(None))


def _join(segments: list[Path], clip: Clip, path: Path, made_by: str) -> float:
    """Write the packets of all segments and of the kept streams; returns the end in seconds."""
    with (
        open_container(clip.path) as source,
        av.open(address(segments[0])) as first,
        av.open(address(path), "w", metadata_errors=TEXTS) as output,
    ):
        stream = output.add_stream_from_template(first.streams.video[0])
        # Segments do not store these.
        stream.time_base = clip.time_unit
        stream.codec_context.framerate = clip.rate
        stream.codec_context.color_range = clip.colours.tags[0]
        stream.metadata.update(source.streams.video[0].metadata)
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        kept = _kept(source)
        copies = {s.index: output.add_stream_from_template(s) for s in kept}
        for index, copy in copies.items():
            copy.metadata.update(source.streams[index].metadata)
        comment = "; ".join(filter(None, (clip.comment, made_by)))
        output.metadata.update({**source.metadata, "comment": comment})
        output.set_chapters(source.chapters())
        # With an empty list, PyAV would return the packets of all streams.
        others = _copied(source.demux(kept), copies) if kept else iter(())
        end, times = 0.0, []
        for packet in heapq.merge(_packets(segments, stream), others, key=_seconds):
            now = _seconds(packet)
            end = max(end, now + float((packet.duration or 0) * packet.time_base))
            if packet.stream is stream:
                times.append(now)
            output.mux(packet)
        # The duration of the last frame is unknown. It may be as long as the longest frame.
        longest = max((after - before for before, after in pairwise(times)), default=math.inf)
        return max(end, times[-1] + longest)


def _packets(segments: list[Path], stream: Stream) -> Iterator[Packet[Any]]:
    for segment in segments:
        with av.open(address(segment)) as source:
            yield from _copied(source.demux(video=0), {0: stream})


def _copied(packets: Iterator[Packet[Any]], streams: dict[int, Any]) -> Iterator[Packet[Any]]:
    for packet in packets:
        if packet.size:  # the last packet of each stream is empty
            packet.stream = streams[packet.stream_index]
            yield packet


def _seconds(packet: Packet[Any]) -> float:
    time = packet.pts if packet.dts is None else packet.dts
    return float((time or 0) * packet.time_base)
