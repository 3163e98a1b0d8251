"""Makes clips for the tests, and enlarges them."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from prosr import load
from prosr.inference.upscaler import Upscaler
from prosr.jobs import Job, Outcome, run
from prosr.video import clip_suffix
from prosr.video.enlarging import enlarge as enlarge_clip

UNIT = Fraction(1, 12_800)
FRAMES = 10
BICUBIC = load("bicubic")


def picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A smooth gradient, different for each frame number."""
    y, x = np.mgrid[: size[1], : size[0]]
    channels = (x * 3 + 20, y * 4 + 30, np.full_like(x, 40 + 15 * number))
    return np.stack(channels, -1).clip(0, 255).astype(np.uint8)


def make(
    path: Path,
    *,
    pixels: str = "yuv420p",
    starts: tuple[int, ...] = tuple(range(0, 512 * FRAMES, 512)),
    tags: tuple[int, int, int, int] = (1, 5, 6, 6),
    rotation: int = 0,
    sound: bool = True,
    size: tuple[int, int] = (64, 48),
) -> Path:
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "4"})
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        context = stream.codec_context
        context.time_base = UNIT
        context.color_range, context.colorspace, context.color_primaries, context.color_trc = tags
        if rotation:
            stream.set_display_rotation(rotation)
        voice = output.add_stream("aac", rate=48_000, layout="mono") if sound else None
        for number, start in enumerate(starts):
            frame = VideoFrame.from_ndarray(picture(number, size), "rgb24").reformat(
                format=pixels, dst_colorspace=tags[1], dst_color_range=tags[0]
            )
            frame.pts, frame.time_base = start, UNIT
            output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
        if voice:
            sing(output, voice)
    return path


def sing(output: Any, voice: AudioStream) -> None:
    tone = (0.3 * np.sin(np.arange(1024) / 9)).astype(np.float32)[None]
    for number in range(18):
        frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
        frame.sample_rate, frame.pts, frame.time_base = 48_000, 1024 * number, Fraction(1, 48_000)
        output.mux(voice.encode(frame))
    output.mux(voice.encode(None))


def frames(path: Path) -> list[VideoFrame]:
    with av.open(str(path)) as source:
        return list(source.decode(video=0))


def packets(path: Path, kind: str) -> list[bytes]:
    with av.open(str(path)) as source:
        streams = [stream for stream in source.streams if stream.type == kind]
        return [bytes(packet) for packet in source.demux(streams) if packet.size]


def watched(seeing: Callable[[], object], name: str = "bicubic") -> Upscaler:
    """The bicubic model under a name; it calls `seeing` before each frame."""
    upscaler = load("bicubic")
    upscaler.name, upscale = name, upscaler.upscale

    def watch(samples: NDArray[Any], scale: int) -> NDArray[Any]:
        seeing()
        return upscale(samples, scale)

    upscaler.upscale = watch  # type: ignore[method-assign, assignment]
    return upscaler


def enlarged(path: Path, scale: int = 2) -> Path:
    target = path.with_name(f"{path.stem}_x{scale}{clip_suffix(path)}")
    enlarge_clip(BICUBIC, path, target, scale)
    return target


def enlarge(path: Path, target: Path) -> Outcome:
    (outcome,) = run(BICUBIC, [Job(path, target)], 2)
    return outcome


def still(path: Path, codec: str, pixels: str, size: tuple[int, int] = (64, 48)) -> Path:
    """A clip of six equal frames."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for _ in range(6):
            frame = VideoFrame.from_ndarray(picture(0, size), "rgb24")
            output.mux(stream.encode(frame.reformat(format=pixels)))
        output.mux(stream.encode(None))
    return path
