"""Copies all that a clip holds besides its film, and compares the result with the clip.

Sound, subtitles, further films, data, covers and attachments are copied without encoding again.
Nothing is lost without a word: `losses` opens the finished result and lists every difference.
"""

from __future__ import annotations

import heapq
import math
import struct
from collections import Counter
from collections.abc import Iterator, Mapping
from itertools import pairwise
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

import av
import av.error
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import AttachmentStream, Disposition, Stream
from av.video.frame import VideoFrame

from prosr.errors import printable
from prosr.images.loading import refusal
from prosr.video.clips import TEXTS, Clip, address, film_of, open_container, reading
from prosr.video.fitting import flac, misfit, recoded, unread

_NAMES = {"audio": "sound", "subtitle": "subtitles", "attachment": "attachment", "video": "film"}

_OF_THE_FILE = (
    "encoder", "major_brand", "minor_version", "compatible_brands", "duration", "bps", "vendor_id",
    "number_of_frames", "number_of_bytes", "_statistics", "handler_name", "comment", "filename",
    "mimetype",
)  # fmt: skip
"""Beginnings of tags that describe the stored file; the result has its own. The comment gets the
provenance."""

_OF_THE_CODING = "sei unregistered", "panscan", "gop timecode"


def light_options(path: Path) -> dict[str, str]:
    """x264's options for HDR10: mastering display (SMPTE ST 2086) and light levels (CTA-861.3).

    x264 counts chromaticities in 1/50,000 and luminances in 1/10,000 cd/m².
    """
    with reading(path) as source:
        side_data = _side_data(next(source.decode(film_of(source))))
    words = []
    if display := side_data.get("MASTERING_DISPLAY_METADATA"):
        *numbers, chromaticities, luminances = struct.unpack("22i", display)
        terms = [a / (b or 1) for a, b in zip(numbers[::2], numbers[1::2], strict=True)]
        red_x, red_y, green_x, green_y, blue_x, blue_y, white_x, white_y = (
            round(50_000 * term) for term in terms[:8]
        )
        least, most = (round(10_000 * term) for term in terms[8:])
        if chromaticities and luminances:
            words.append(
                f"mastering-display=G({green_x},{green_y})B({blue_x},{blue_y})"
                f"R({red_x},{red_y})WP({white_x},{white_y})L({most},{least})"
            )
    if level := side_data.get("CONTENT_LIGHT_LEVEL"):
        words.append("cll={},{}".format(*struct.unpack("2I", level)))
    return {"x264-params": ":".join(words)} if words else {}


def join(segments: list[Path], clip: Clip, path: Path, made_by: str) -> tuple[float, str]:
    """Write all segments and what is copied; return the end in seconds, and a remark on a gap."""
    with (
        open_container(clip.path) as source,
        av.open(address(segments[0])) as first,
        av.open(address(path), "w", options=_muxing(source, path), metadata_errors=TEXTS) as output,
    ):
        stream = output.add_stream_from_template(first.streams.video[0])
        # Segments do not store these.
        stream.time_base = clip.time_unit
        stream.codec_context.framerate = clip.rate
        stream.codec_context.color_range = clip.colours.tags[0]
        _describe(stream, film_of(source))
        if clip.rotation:
            stream.set_display_rotation(clip.rotation)
        copies, again = _copies(source, output, path)
        comment = "; ".join(filter(None, (clip.comment, made_by)))
        output.metadata.update({**_tags(source.metadata), "comment": comment})
        output.set_chapters(source.chapters())
        kept = [source.streams[index] for index in copies]
        # With an empty list, PyAV would return the packets of all streams.
        others = _copied(source.demux(kept), copies) if kept else iter(())
        end, times = 0.0, []
        for packet in heapq.merge(_packets(segments, stream), others, *again, key=_seconds):
            now = _seconds(packet)
            end = max(end, now + float((packet.duration or 0) * packet.time_base))
            if packet.stream is stream:
                times.append(now)
            try:
                output.mux(packet)
            except av.error.InvalidDataError as error:
                what = "its sound or subtitles are damaged; repair or remove them first"
                raise refusal(clip.path, what) from error
        # The duration of the last frame is unknown. It may be as long as the longest frame.
        steps = [after - before for before, after in pairwise(times)] or [math.inf]
        longest, start, gap = max(steps), times[steps.index(max(steps))], ""
        if math.inf > longest > max(0.5, 9 * median(steps)):
            span = f"from {start:.1f} to {start + longest:.1f} s"
            gap = f"no frame {span}: the clip stands still there, or is damaged"
        return max(end, times[-1] + longest), gap


def _muxing(source: InputContainer, path: Path) -> dict[str, str]:
    """Options for MP4 and MOV, which otherwise keep few of the tags of phones."""
    phone = any(key.startswith("com.") for key in source.metadata)
    return {"movflags": "use_metadata_tags"} if phone and path.suffix.lower() != ".mkv" else {}


def _copies(
    source: InputContainer, output: OutputContainer, path: Path
) -> tuple[dict[int, Stream], list[Iterator[Packet[Any]]]]:
    """Add a copy of each stream that the output can hold, by the index of the original.

    Also returns the packets of sound that had to be encoded again.
    """
    copies: dict[int, Stream] = {}
    again, film = [], film_of(source)
    with TemporaryDirectory() as folder:
        trial = Path(folder, f"trial{path.suffix}")
        for stream in source.streams:
            name = stream.metadata.get("filename", "cover.jpg")
            if stream.index == film.index:
                continue
            if path.suffix.lower() == ".mkv" and isinstance(stream, AttachmentStream):
                kind = stream.mimetype or "application/octet-stream"
                output.add_attachment(name, kind, stream.data)
            elif path.suffix.lower() == ".mkv" and _kind(stream) == "cover":
                kind = stream.metadata.get("mimetype", "image/jpeg")
                output.add_attachment(name, kind, _cover(source.name, stream.index))
            # Muxers write a timecode's stream from the film's tag.
            elif "timecode" in stream.metadata and stream.type == "data":
                continue
            elif not misfit(trial, stream):
                copies[stream.index] = output.add_stream_from_template(stream)
                _describe(copies[stream.index], stream)
            elif isinstance(stream, AudioStream):
                sound = flac(stream)(output)
                _describe(sound, stream)
                again.append(recoded(source.name, stream.index, sound))
    return copies, again


def _kind(stream: Stream) -> str:
    if stream.disposition & Disposition.attached_pic:
        return "cover"
    return _NAMES.get(stream.type, stream.type)


def _cover(name: str, index: int) -> bytes:
    with av.open(name) as source:
        return next(bytes(p) for p in source.demux(source.streams[index]) if p.size)


def _describe(copy: Stream, original: Stream) -> None:
    copy.metadata.update(_tags(original.metadata))
    copy.disposition = original.disposition


def _tags(metadata: Mapping[str, str]) -> dict[str, str]:
    """Tags that describe the clip, not the stored file. MP4 calls a track's title its name."""
    return {
        "title" if key == "name" else key: value
        for key, value in metadata.items()
        if not key.lower().startswith(_OF_THE_FILE) and (key, value) != ("language", "und")
    }


def losses(clip: Path, result: Path) -> list[str]:
    """One line for each thing in the clip that the result lacks or has in another state."""
    before, after = _inventory(clip), _inventory(result)
    missing = {what for what in before if what not in after}
    lines = []
    for what, value in before.items():
        whole = what.rpartition(" of ")[2]
        if what in missing and (whole == what or whole not in missing):
            lines.append(f"{what} is not kept" + (f": {value}" if value else ""))
        # Without flags, a container may count the only track of a kind as the default.
        elif what not in missing and after[what] not in (value, value or "default"):
            lines.append(f"{what}: {value or 'none'} became {after[what] or 'none'}")
    films = sum(what.startswith("film ") for what in before)
    if films > 1:
        lines.append(f"only the first of {films} films is enlarged")
    return [printable(line) for line in lines]


def _inventory(path: Path) -> dict[str, str]:
    """All that a clip holds, by names such as "sound 2" and "title of sound 2"."""
    found = unread(path)
    counts: Counter[str] = Counter()
    with open_container(path) as source:
        for stream in source.streams:
            kind = _kind(stream)
            counts[kind] += 1
            name = f"{kind} {counts[kind]}"
            if kind == "attachment":
                name = f"attachment {stream.metadata.get('filename', '')}"
            found[name] = ""
            flags = [flag.name or "" for flag in Disposition if flag & stream.disposition]
            if name != "film 1":
                found[f"flags of {name}"] = ", ".join(flags)
            if kind == "sound":
                found[f"coding of {name}"] = stream.codec_context.name
            tags = _tags(stream.metadata).items()
            found |= {f"{key.lower()} of {name}": value for key, value in tags}
        found |= {key.lower(): value for key, value in _tags(source.metadata).items()}
        for number, chapter in enumerate(source.chapters(), 1):
            unit, title = chapter["time_base"] or 0, chapter["metadata"].get("title", "")
            times = f"{float(chapter['start'] * unit):.2f}–{float(chapter['end'] * unit):.2f} s"
            found[f"chapter {number}"] = f"{times} {title}".strip()
        frame = next(source.decode(film_of(source)))
        found["depth of the film"] = f"{frame.format.components[0].bits} bits"
        kinds = [kind.replace("_", " ").lower() for kind in _side_data(frame)]
        found |= {kind: "" for kind in kinds if kind not in _OF_THE_CODING}
    return found


def _side_data(frame: VideoFrame) -> dict[str, bytes]:
    """What a frame has besides its samples, by FFmpeg's names."""
    every: Any = frame.side_data  # PyAV declares another type
    return {side.type.name: bytes(side) for side in every}


def _packets(segments: list[Path], stream: Stream) -> Iterator[Packet[Any]]:
    for segment in segments:
        with av.open(address(segment)) as source:
            yield from _copied(source.demux(video=0), {0: stream})


def _copied(packets: Iterator[Packet[Any]], streams: Mapping[int, Any]) -> Iterator[Packet[Any]]:
    for packet in packets:
        if packet.size:  # the last packet of each stream is empty
            packet.stream = streams[packet.stream_index]
            yield packet


def _seconds(packet: Packet[Any]) -> float:
    time = packet.pts if packet.dts is None else packet.dts
    return float((time or 0) * packet.time_base)
