"""Write the table of docs/clips.md: enlarge a clip of each container, and compare.

python docs/make_clips.py
"""

from __future__ import annotations

import re
import struct
import tempfile
from fractions import Fraction
from io import BytesIO
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
from av.audio.stream import AudioStream
from av.packet import Packet
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

import prosr
from prosr.files import write_text
from prosr.jobs import Job, run
from prosr.lab.tables import markdown

PAGE = Path(__file__).with_name("clips.md")
TABLE = re.compile(r"(?<=<!-- table -->\n\n).*(?=\n<!-- end of table -->)", re.S)
CONVERSIONS = (
    "mp4 mp4", "mov mov", "mkv mkv", "mp4 mkv", "mkv mp4", "ts mkv", "avi mkv", "flv mkv",
    "wmv mkv", "webm mkv",
)  # fmt: skip
CODECS = {"avi": ("mpeg4", "mp3"), "wmv": ("wmv2", "wmav2"), "webm": ("libvpx", "libopus")}
PHONE = {"com.apple.quicktime.make": "A", "com.apple.quicktime.location.ISO6709": "+52.5+013.4/"}
HDR10 = (
    "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)L(10000000,1):"
    "cll=1000,400"
)
SIZE, RATE, FRAMES = (64, 48), 48_000, 8
PIXELS = np.stack(np.meshgrid(np.arange(0, 256, 4), np.arange(0, 192, 4)), -1).astype(np.uint8)


def source(path: Path, subtitles: bool = True) -> Path:
    """A clip with all that the container of this suffix can hold."""
    kind = path.suffix[1:]
    film_codec, sound_codec = CODECS.get(kind, ("libx264", "aac"))
    rich, quicktime = kind in ("mp4", "mov", "mkv"), kind in ("mp4", "mov")
    options = {"movflags": "use_metadata_tags"} if kind == "mov" else {}
    with av.open(str(path), "w", options=options) as output:
        output.metadata.update({"title": "Trip", **(PHONE if kind == "mov" else {})})
        film = add_film(output, film_codec, hdr=rich)
        if quicktime:
            film.set_display_rotation(90)
        if kind == "mov":
            film.metadata["timecode"] = "01:02:03:04"
        films = [film, add_film(output, "libx264")] if rich else [film]
        sounds = [output.add_stream(sound_codec, rate=RATE, layout="mono") for _ in range(2)]
        for sound, flag, language in zip(sounds, (0, 1), ("ger", "fre"), strict=True):
            assert isinstance(sound, AudioStream)
            sound.bit_rate, sound.disposition = 64_000, Disposition(flag)
            sound.metadata.update({"language": language, "title": f"in {language}"})
        coding = "subrip" if kind == "mkv" else "mov_text"
        text = add_text(output, coding) if rich and subtitles else None
        cover = add_pictures(output, kind)
        if rich:
            unit = Fraction(1, 1000)
            one = {"id": 1, "start": 0, "end": 100, "time_base": unit, "metadata": {"title": "A"}}
            output.set_chapters([one])  # type: ignore[list-item]
        for stream in films:
            show(output, stream)
        if cover:
            show(output, cover, frames=1)
        for sound in sounds:
            assert isinstance(sound, AudioStream)
            sing(output, sound)
        if text is not None:
            data = b"Hello" if kind == "mkv" else struct.pack(">H", 5) + b"Hello"
            packet: Any = Packet(data)
            packet.stream, packet.pts, packet.dts, packet.duration = text, 0, 0, 100
            packet.time_base = Fraction(1, 1000)
            output.mux(packet)
    return path


def add_film(output: Any, codec: str, hdr: bool = False) -> VideoStream:
    stream = output.add_stream(codec, rate=25, options={"x264-params": HDR10} if hdr else {})
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = SIZE
    stream.pix_fmt = "yuv420p10le" if hdr else "yuv420p"
    if hdr:
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)
        stream.codec_context.color_primaries, stream.codec_context.color_trc = 9, 16
        stream.codec_context.colorspace, stream.codec_context.color_range = 9, 1
    return stream


def add_text(output: Any, codec: str) -> Any:
    stream = output.add_mux_stream(codec)
    stream.disposition = Disposition.forced
    stream.metadata["language"] = "eng"
    return stream


def add_pictures(output: Any, kind: str) -> VideoStream | None:
    """Add a cover, and in MKV a font. Returns the cover's stream if it is still to be encoded."""
    if kind == "mkv":
        file = BytesIO()
        Image.fromarray(PIXELS[..., 0]).save(file, "jpeg")
        output.add_attachment("font.ttf", "font/ttf", b"font" * 99)
        output.add_attachment("cover.jpg", "image/jpeg", file.getvalue())
    if kind != "mp4":
        return None
    stream = output.add_stream("mjpeg", rate=25)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height = SIZE
    stream.pix_fmt, stream.disposition = "yuvj420p", Disposition.attached_pic
    return stream


def show(output: Any, stream: VideoStream, frames: int = FRAMES) -> None:
    for number in range(frames):
        colours = np.dstack((PIXELS, np.full(PIXELS.shape[:2], 20 * number, np.uint8)))
        frame = VideoFrame.from_ndarray(colours, "rgb24")
        output.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
    output.mux(stream.encode(None))


def sing(output: Any, sound: AudioStream) -> None:
    tone = (0.3 * np.sin(np.arange(RATE // 3) / 9)).astype(np.float32)[None]
    frame = av.AudioFrame.from_ndarray(tone, "fltp", "mono")
    frame.sample_rate, frame.pts = RATE, 0
    size = sound.codec_context.frame_size or 1024
    resampler = av.AudioResampler(sound.codec_context.format, "mono", RATE, size)
    for part in (*resampler.resample(frame), None):
        output.mux(sound.encode(part))


def held(path: Path) -> dict[str, Any]:
    """What a clip holds, in the order of the table; what it lacks is empty."""
    with av.open(str(path)) as clip:
        covers = [s for s in clip.streams.video if s.disposition & Disposition.attached_pic]
        films = [s for s in clip.streams.video if s not in covers]
        tracks = [s for s in clip.streams if s.type in ("audio", "subtitle")]
        fonts = [s for s in clip.streams if s.type == "attachment"]
        titles = [s.metadata.get("title", s.metadata.get("name")) for s in tracks]
        frames = list(clip.decode(films[0]))
        side: Any = frames[0].side_data
        light = {s.type.name: bytes(s) for s in side if s.type.name.startswith(("MAST", "CONT"))}
        first = frames[0]
        phone = {key: clip.metadata[key] for key in PHONE if key in clip.metadata}
        tags = [first.colorspace, first.color_primaries, first.color_trc, first.color_range]
        aspect = films[0].sample_aspect_ratio
        return {
            "number of frames": len(frames),
            "10 bits": first.format.components[0].bits - 8,
            "rotation": int(first.rotation),
            "pixel aspect": aspect if aspect not in (None, 1) else None,
            "colour tags": tags if first.color_primaries == 9 else None,
            "HDR10: mastering display, light levels": light,
            "sound, as coded": [s.codec_context.name for s in clip.streams.audio],
            "subtitles, as coded": [s.codec_context.name for s in clip.streams.subtitles],
            "flags: default, forced": [s.disposition for s in tracks if s.disposition],
            "languages": [s.language for s in tracks if s.language not in (None, "und")],
            "titles of tracks": list(filter(None, titles)),
            "title of the clip": clip.metadata.get("title"),
            "chapters": [(one["start"], one["metadata"]) for one in clip.chapters()],
            "cover": len(covers),
            "fonts and other attachments": [font.name for font in fonts],
            "further films, not enlarged": [film.width for film in films[1:]],
            "a phone's make, model, place": phone,
            "timecode": films[0].metadata.get("timecode"),
        }


def cell(before: Any, after: Any, notes: str) -> str:
    """What became of a thing. Raises `AssertionError` if it was lost without a note."""
    if not before:
        return "–"
    if before == after:
        return "kept"
    assert notes, f"{before} became {after} without a note"
    return "noted"


def table() -> str:
    """The table: a row for each thing, a column for each pair of containers."""
    rows: dict[str, list[str]] = {}
    upscaler, names = prosr.load("bicubic"), count()
    with tempfile.TemporaryDirectory() as folder:
        for pair in CONVERSIONS:
            kind, suffix = pair.split()
            path = source(Path(folder, f"{next(names)}.{kind}"))
            target = path.with_name(f"result-{path.stem}.{suffix}")
            (outcome,) = run(upscaler, [Job(path, target)], 2)
            refused = outcome.status == "failed" and "the subtitles of" in outcome.reason
            if refused:
                (outcome,) = run(upscaler, [Job(source(path, subtitles=False), target)], 2)
            assert outcome.status == "made", outcome.reason
            before, after = held(path), held(target)
            for what, value in before.items():
                noted = cell(value, after[what], " ".join(outcome.notes))
                isolated = refused and what.startswith("subtitles")
                rows.setdefault(what, []).append("refused" if isolated else noted)
    heads = [" to ".join(word.upper() for word in pair.split()) for pair in CONVERSIONS]
    return markdown(["", *heads], [[key, *row] for key, row in rows.items()]) + "\n"


def page() -> str:
    """The page with a new table."""
    return TABLE.sub(lambda _: table(), PAGE.read_text(encoding="utf-8"))


if __name__ == "__main__":
    write_text(PAGE, page())
