"""A clip enlarged frame by frame, in segments that a later run goes on from.

Beside the result a hidden folder holds a finished segment of every so many frames. They are
joined at the end, without being coded again, with the sound and texts of the clip.
"""

from __future__ import annotations

import hashlib
import heapq
import math
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain, count, islice, pairwise, takewhile
from pathlib import Path
from typing import Any

import av
import av.error
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream
from av.video.stream import VideoStream
from numpy.typing import NDArray

from prosr.errors import ImageError
from prosr.files import replacing
from prosr.images import Making, shown
from prosr.video.clips import (
    TEXTS,
    Clip,
    Frame,
    address,
    explaining,
    from_rgb,
    open_container,
    reading,
)

_NAMES = {"audio": "sound", "subtitle": "subtitles"}
"""What is copied as it is."""

Enlarge = Callable[[NDArray[Any]], NDArray[Any]]
"""[H, W, 3] samples to [sH, sW, 3] of the same type."""

_SEGMENT = 48
"""Frames between two points that a run goes on from: two seconds of film."""

_QUALITY = {"crf": "16", "preset": "medium", "bf": "0", "rc-lookahead": "10", "threads": "2"}
"""Near what the eye can tell. Without frames that refer to later ones, segments join with
no more than their packets in a row; few frames are looked ahead at, each is in memory."""

_FRAMES_HELD = 34
"""Frames of a result, as RGB, that would fill the memory that encoding takes: 30 at
1280×720 to 2560×1440 in 8 bits, 29 in 10 (PyAV 18, two threads)."""


def frame_memory(clip: Clip, scale: int) -> int:
    """Bytes for the frames of the result that are in memory at once."""
    sample = 6 if clip.colours.deep else 3
    return _FRAMES_HELD * sample * clip.width * clip.height * scale**2


def enlarge_clip(
    clip: Clip,
    target: Path,
    scale: int,
    enlarge: Enlarge,
    making: Making,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> float:
    """Write `clip` with every frame enlarged by `enlarge`, and with all else it has.

    Frame times, sound, subtitles, chapters, rotation, pixel aspect and colour tags are the
    clip's own. Interrupted and called again with the same mark and the same content in `making`, it
    goes on from the last whole segment. Returns the second that the result ends at. Raises
    `ImageError`.
    """
    with explaining(target):
        folder = _folder(target, making)
        done = len(_finished(folder)) * _SEGMENT
        frames = clip.read(done)
        progress(done, max(done, clip.frames))
        while segment := list(_enlarged(islice(frames, 1), enlarge)):
            rest = _enlarged(islice(frames, _SEGMENT - 1), enlarge)
            with replacing(folder / f"{done // _SEGMENT:06}.nut") as temporary:
                for _ in _encode(chain(segment, rest), clip, scale, temporary):
                    done += 1
                    progress(done, max(done, clip.frames))
            done += -done % _SEGMENT
        with replacing(target) as temporary:
            end = _join(_finished(folder), clip, temporary, str(making))
        shutil.rmtree(folder)
    return end


def check_target(clip: Clip, target: Path, scale: int) -> None:
    """Raise `ImageError`, with what helps, if `target` cannot hold what it will be given.

    Found by beginning such files elsewhere: of the frames, and of each other stream.
    """
    size = f"{scale * clip.width}×{scale * clip.height}"
    with tempfile.TemporaryDirectory() as folder:
        trial = Path(folder, f"trial{target.suffix}")
        if why := _trouble(trial, lambda output: _add_frames(output, clip, scale)):
            raise ImageError(
                f"{shown(target)}: {size} pixels cannot be encoded as H.264 ({why}); enlarge less"
            )
        with reading(clip.path) as source:
            troubles = [
                (_NAMES[kept.type], _trouble(trial, partial(_add_copy, template=kept)))
                for kept in _kept(source)
            ]
    other = ".mp4" if target.suffix.lower() == ".mkv" else ".mkv"
    for name, why in troubles:
        if why:
            raise ImageError(
                f"{shown(target)}: cannot hold the {name} of {shown(clip.path)} ({why}); "
                f"give an output that ends in {other}, or take that out first"
            )


def _trouble(path: Path, add: Callable[[OutputContainer], object]) -> str:
    """Why a file cannot begin with what is added, or nothing."""
    try:
        with av.open(str(path), "w") as output:
            add(output)
            output.start_encoding()
    except av.error.FFmpegError as error:
        return error.strerror or str(error)
    # PyAV itself says so of codecs that a container does not know.
    except ValueError as error:
        return str(error)
    return ""


def _add_frames(output: OutputContainer, clip: Clip, scale: int) -> VideoStream:
    stream = output.add_stream("libx264", rate=clip.rate, options=dict(_QUALITY))
    assert isinstance(stream, VideoStream)
    _describe(stream, clip, scale)
    return stream


def _add_copy(output: OutputContainer, template: Stream) -> Stream:
    return output.add_stream_from_template(template)


def _kept(source: InputContainer) -> list[Stream]:
    return [stream for stream in source.streams if stream.type in _NAMES]


def _folder(target: Path, making: Making) -> Path:
    """Where segments are; another one for another clip, network or scale.

    A clip is known by its content: what else tells of it, a backup may change.
    """
    what = f"{making.mark} of {making.origin.content} {_QUALITY}"
    digest = hashlib.sha256(what.encode("utf-8", "surrogateescape")).hexdigest()[:12]
    folder = target.with_name(f".{target.stem[:50]}.{digest}.segments")
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _finished(folder: Path) -> list[Path]:
    """The whole segments, from the first on; what a killed process left half made goes."""
    for half in folder.glob(".*.nut"):
        half.unlink(missing_ok=True)
    places = (folder / f"{number:06}.nut" for number in count())
    return list(takewhile(Path.exists, places))


def _enlarged(frames: Iterator[Frame], enlarge: Enlarge) -> Iterator[Frame]:
    for frame in frames:
        yield frame._replace(samples=enlarge(frame.samples))


def _encode(frames: Iterator[Frame], clip: Clip, scale: int, path: Path) -> Iterator[None]:
    """Write a segment; yields after each frame."""
    with av.open(address(path), "w", format="nut") as output:
        stream = _add_frames(output, clip, scale)
        for frame in frames:
            picture = from_rgb(frame.samples, clip.colours)
            picture.pts, picture.time_base = frame.start, clip.time_unit
            output.mux(stream.encode(picture))
            yield
        output.mux(stream.encode(None))


def _describe(stream: VideoStream, clip: Clip, scale: int) -> None:
    context, tags = stream.codec_context, clip.colours.tags
    context.width, context.height = scale * clip.width, scale * clip.height
    context.pix_fmt = clip.colours.pixel_format
    context.time_base = stream.time_base = clip.time_unit
    context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
    if clip.pixel_aspect:
        context.sample_aspect_ratio = clip.pixel_aspect


def _join(segments: list[Path], clip: Clip, path: Path, made_by: str) -> float:
    """One file of the segments' packets and the clip's own sound and texts, by time."""
    if not segments:
        raise ImageError(f"{shown(clip.path)}: has no frame that can be decoded")
    with ExitStack() as opened:
        source = opened.enter_context(open_container(clip.path))
        first = opened.enter_context(av.open(address(segments[0])))
        output = opened.enter_context(av.open(address(path), "w", metadata_errors=TEXTS))
        stream = output.add_stream_from_template(first.streams.video[0])
        stream.time_base = clip.time_unit
        # Segments do not hold these.
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
        # Asked for no streams, PyAV would give all.
        sound = _copied(source.demux(kept), copies) if kept else iter(())
        packets = heapq.merge(_packets(segments, stream), sound, key=_seconds)
        end, times = 0.0, []
        for packet in packets:
            now = _seconds(packet)
            end = max(end, now + float((packet.duration or 0) * packet.time_base))
            if packet.stream is stream:
                times.append(now)
            output.mux(packet)
        # The last frame is taken to last as long as any before it; one alone, as long as it likes.
        longest = max((after - before for before, after in pairwise(times)), default=math.inf)
        return max(end, times[-1] + longest)


def _packets(segments: list[Path], stream: Stream) -> Iterator[Packet[Any]]:
    for segment in segments:
        with av.open(address(segment)) as source:
            yield from _copied(source.demux(video=0), {0: stream})


def _copied(packets: Iterator[Packet[Any]], streams: dict[int, Any]) -> Iterator[Packet[Any]]:
    for packet in packets:
        if packet.size:  # the last of each stream has none
            packet.stream = streams[packet.stream_index]
            yield packet


def _seconds(packet: Packet[Any]) -> float:
    time = packet.pts if packet.dts is None else packet.dts
    return float((time or 0) * packet.time_base)
