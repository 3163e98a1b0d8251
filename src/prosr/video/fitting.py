"""What a container can hold, and lossless copies of sound that it cannot, such as WMA in MKV."""

from __future__ import annotations

import mmap
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import av
import av.error
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer
from av.packet import Packet
from av.stream import Stream

from prosr.images.loading import refusal, shown
from prosr.video import OUTPUT_SUFFIXES
from prosr.video.clips import reading


def check_streams(path: Path, target: Path, trial: Path) -> None:
    """Raise `ImageError`, with the remedy, if `target` cannot hold the clip's sound or subtitles.

    Begins the file `trial`, of the same format, with each stream.
    """
    with reading(path) as source:
        for stream in source.streams:
            why = misfit(trial, stream) if stream.type in ("audio", "subtitle") else ""
            if why and not (isinstance(stream, AudioStream) and not trouble(trial, flac(stream))):
                name = "sound" if stream.type == "audio" else "subtitles"
                fits = [s for s in OUTPUT_SUFFIXES if not misfit(trial.with_suffix(s), stream)]
                other = f"give an output that ends in {fits[0]}, or " if fits else ""
                kept = f"cannot hold the {name} of {shown(path)} ({why})"
                raise refusal(target, f"{kept}; {other}convert or remove the {name} first")


def trouble(path: Path, add: Callable[[OutputContainer], object]) -> str:
    """The reason why a file cannot contain the stream that `add` adds, or an empty string."""
    try:
        with av.open(str(path), "w") as output:
            add(output)
            output.start_encoding()
    # PyAV raises `ValueError` for codecs that a container does not know.
    except (av.error.FFmpegError, ValueError) as error:
        return str(getattr(error, "strerror", None) or error)
    return ""


def misfit(trial: Path, stream: Stream) -> str:
    return trouble(trial, lambda output: output.add_stream_from_template(stream))


def unread(path: Path) -> dict[str, str]:
    """What a container holds that FFmpeg does not read."""
    marks = {b"<?xpacket begin": "XMP", b"jumb\0\0\0\x1ejumdc2pa": "content credentials (C2PA)"}
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        return {what: "" for mark, what in marks.items() if data.find(mark) >= 0}


def flac(stream: AudioStream) -> Callable[[OutputContainer], AudioStream]:
    """Return a function that adds a FLAC stream with the rate and channels of `stream`."""
    return lambda output: output.add_stream("flac", rate=stream.rate, layout=stream.layout.name)


def recoded(name: str, index: int, copy: AudioStream) -> Iterator[Packet[Any]]:
    """The packets of `copy`, from stream `index` of the file `name`, in 24 bits if it has more."""
    with av.open(name) as source:
        stream = source.streams[index]
        assert isinstance(stream, AudioStream)
        deep = stream.codec_context.format.name.startswith("s32")
        resampler = av.AudioResampler("s32" if deep else "s16", copy.layout, copy.rate)
        frames: Iterator[AudioFrame | None] = chain(source.decode(stream), [None])
        for frame in frames:
            for part in resampler.resample(frame):
                yield from copy.encode(part)
        # The last packet, without samples, states the length.
        yield from (packet for packet in copy.encode(None) if packet.size)
