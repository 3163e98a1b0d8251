"""Enlarged clips: only the frames change, and interrupted runs resume."""

from __future__ import annotations

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from clips import (
    BICUBIC,
    UNIT,
    enlarge,
    enlarged,
    frames,
    make,
    packets,
    picture,
    still,
    watched,
)
from prosr.errors import ImageError
from prosr.video import enlarging, fitting
from prosr.video.clips import open_clip
from prosr.video.enlarging import check_target
from prosr.video.enlarging import enlarge as enlarge_clip


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarging, "_SEGMENT", 4)


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("tags", [(1, 5, 6, 6), (1, 2, 2, 2)])
def test_stated_rate_and_range_are_kept(
    tmp_path: Path, suffix: str, tags: tuple[int, int, int, int]
) -> None:
    source = make(tmp_path / f"a.{suffix}", tags=tags)
    rates = []
    for path in (source, enlarged(source)):
        with av.open(str(path)) as opened:
            rates.append(opened.streams.video[0].average_rate)
            assert next(opened.decode(video=0)).color_range == frames(source)[0].color_range
    assert rates[0] == rates[1] == 25


VARIABLE = (0, 512, 700, 1700, 1800, 2000, 4096, 4100, 5000, 6000)


@pytest.mark.parametrize("starts", [tuple(range(0, 5120, 512)), VARIABLE])
@pytest.mark.parametrize("suffix", ["mp4", "mov"])
def test_frames_keep_their_times(tmp_path: Path, suffix: str, starts: tuple[int, ...]) -> None:
    path = make(tmp_path / f"a.{suffix}", starts=starts)
    result = frames(enlarged(path))
    assert [frame.time for frame in result] == [float(start * UNIT) for start in starts]
    assert {(frame.width, frame.height) for frame in result} == {(128, 96)}


def test_frames_with_the_same_time_are_moved_apart(tmp_path: Path) -> None:
    # Matroska counts in milliseconds, which are 12.8 units each.
    path = make(tmp_path / "a.mkv", starts=(0, 2, 4, 640, 1280), sound=False)
    assert [frame.pts for frame in frames(path)] == [0, 0, 0, 50, 100]
    assert [start for start, _ in open_clip(path).read(0)] == [0, 1, 2, 50, 100]
    assert [start for start, _ in open_clip(path).read(2)] == [2, 50, 100]
    assert len(frames(enlarged(path))) == 5


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_is_copied_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f"a.{suffix}")
    target = enlarged(path)
    assert packets(target, "audio") == packets(path, "audio") != []


def with_subtitles(tmp_path: Path, end: str = "00:00:01,000") -> Path:
    (tmp_path / "a.srt").write_text(f"1\n00:00:00,000 --> {end}\nHello\n")
    silent = make(tmp_path / "silent.mkv", sound=False)
    path = tmp_path / "a.mkv"
    with (
        av.open(str(silent)) as film,
        av.open(str(tmp_path / "a.srt")) as text,
        av.open(str(path), "w") as output,
    ):
        streams = [output.add_stream_from_template(source.streams[0]) for source in (film, text)]
        for source, stream in zip((film, text), streams, strict=True):
            for packet in source.demux(source.streams[0]):
                if packet.size:
                    packet.stream = stream
                    output.mux(packet)
    return path


def test_subtitles_are_copied(tmp_path: Path) -> None:
    path = with_subtitles(tmp_path)
    target = enlarged(path)
    assert packets(target, "subtitle") == packets(path, "subtitle") == [b"Hello"]


@pytest.mark.parametrize("rotation", [0, 90, 180, -90])
def test_rotation_is_kept(tmp_path: Path, rotation: int) -> None:
    path = make(tmp_path / "a.mp4", rotation=rotation)
    assert {abs(frame.rotation) for frame in frames(enlarged(path))} == {abs(rotation)}
    assert frames(enlarged(path))[0].rotation == frames(path)[0].rotation


@pytest.mark.parametrize(
    ("pixels", "kept", "tags"),
    [
        ("yuv420p", "yuv420p", (1, 1, 1, 1)),
        ("yuv420p", "yuv420p", (1, 5, 6, 6)),
        ("yuvj420p", "yuvj420p", (2, 5, 6, 6)),
        ("yuv444p", "yuv444p", (1, 1, 1, 1)),
        ("yuv422p10le", "yuv422p10le", (1, 9, 9, 16)),
        ("yuv420p10le", "yuv420p10le", (1, 9, 9, 16)),
    ],
)
def test_colours_are_the_same(
    tmp_path: Path, pixels: str, kept: str, tags: tuple[int, int, int, int]
) -> None:
    path = make(tmp_path / "a.mp4", pixels=pixels, tags=tags, sound=False)
    before, after = frames(path)[6], frames(enlarged(path))[6]
    assert after.format.name == kept
    assert (after.color_range, after.colorspace) == tags[:2]
    assert (after.color_primaries, after.color_trc) == tags[2:]
    for plane, (old, new) in enumerate(zip(before.planes, after.planes, strict=True)):
        difference = np.mean(samples(new, pixels)) - np.mean(samples(old, pixels))
        assert abs(difference) < (4 if "10" in pixels else 1), plane


@pytest.mark.parametrize(
    ("name", "codec", "pixels"),
    [("a.mp4", "libx264rgb", "rgb24"), ("a.mov", "png", "rgb24"), ("a.mkv", "ffv1", "bgr0"),
     ("a.avi", "huffyuv", "rgb24")],
)  # fmt: skip
def test_rgb_becomes_yuv_with_stated_matrix_and_range(
    tmp_path: Path, name: str, codec: str, pixels: str
) -> None:
    result = frames(enlarged(still(tmp_path / name, codec, pixels)))[3]
    assert result.format.name == "yuv444p"
    assert (result.color_range, result.colorspace) == (1, 5)
    # As a player shows it, by the stated matrix and range.
    shown = result.reformat(format="rgb24", src_colorspace=5, src_color_range=1).to_ndarray()
    difference = shown.mean((0, 1)) - picture(0, (64, 48)).mean((0, 1))
    assert np.abs(difference).max() < 2


def test_a_palette_keeps_its_colours_sharp(tmp_path: Path) -> None:
    palette = np.zeros((256, 4), np.uint8)
    palette[:, 0] = 255  # alpha, then red, green, blue
    palette[1, 1:] = (200, 100, 50)
    samples: Any = (np.ones((48, 64), np.uint8), palette)
    frame = VideoFrame.from_ndarray(samples, "pal8")
    with av.open(str(tmp_path / "a.mov"), "w") as output:
        stream = output.add_stream("png", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "pal8"
        output.mux(stream.encode(frame))
        output.mux(stream.encode(None))
    result = frames(enlarged(tmp_path / "a.mov"))[0]
    assert (result.format.name, result.color_range, result.colorspace) == ("yuv444p", 1, 5)


def test_frames_of_odd_sides_keep_their_sampling(tmp_path: Path) -> None:
    path = still(tmp_path / "a.mkv", "ffv1", "yuv420p", (65, 47))
    result = frames(enlarged(path))[0]
    assert (result.format.name, result.width, result.height) == ("yuv420p", 130, 94)


def test_streams_that_the_container_cannot_hold_are_refused_before_any_work(tmp_path: Path) -> None:
    path = with_subtitles(tmp_path)
    outcome = enlarge(path, tmp_path / "b.mp4")
    assert outcome.status == "failed"
    assert "b.mp4: cannot hold the subtitles of" in outcome.reason
    assert outcome.reason.endswith(
        "give an output that ends in .mkv, or convert or remove the subtitles first"
    )
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["a.mkv", "a.srt", "silent.mkv"]
    assert enlarge(path, tmp_path / "b.mkv").status == "made"


def test_errors_about_the_output_name_the_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clip = open_clip(make(tmp_path / "a.mp4"))
    with pytest.raises(ImageError, match=r"b\.mp4: 20000×96 pixels cannot be encoded"):
        check_target(clip, tmp_path / "b.mp4", (96, 20_000))
    # Neither the sound nor FLAC fits into the output; the first other container holds the sound.
    troubles = iter(("Invalid argument", "not this either", "", "", "", ""))
    monkeypatch.setattr(enlarging, "trouble", lambda path, add: "")
    monkeypatch.setattr(fitting, "trouble", lambda path, add: next(troubles))
    with pytest.raises(ImageError, match=r"b\.mkv: cannot hold the sound of .*ends in \.mp4"):
        check_target(clip, tmp_path / "b.mkv", (96, 128))


def test_titles_that_are_not_utf_8_are_kept(tmp_path: Path) -> None:
    path = tmp_path / "a.mkv"
    with av.open(str(path), "w") as output:
        output.metadata["title"] = "TITLE"
        stream = output.add_stream("mjpeg", rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuvj420p"
        output.mux(stream.encode(VideoFrame.from_ndarray(picture(0, (64, 48)), "rgb24")))
        output.mux(stream.encode(None))
    path.write_bytes(path.read_bytes().replace(b"TITLE", b"TIT\xc9E"))
    assert b"TIT\xc9E" in enlarged(path).read_bytes()


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("frames", [1, 8])
def test_a_slideshow_is_not_cut_off(tmp_path: Path, suffix: str, frames: int) -> None:
    starts = tuple(range(0, 12_800 * 5 * frames, 12_800 * 5))
    path = make(tmp_path / f"a.{suffix}", starts=starts, sound=False)
    assert enlarge(path, tmp_path / f"b.{suffix}").notes == ()


def test_a_clip_whose_subtitles_outlast_its_frames_is_not_cut_off(tmp_path: Path) -> None:
    path = with_subtitles(tmp_path, "00:00:09,000")
    assert open_clip(path).seconds > 5
    assert enlarge(path, tmp_path / "b.mkv").notes == ()


def test_time_that_goes_backwards_is_refused(tmp_path: Path) -> None:
    part = make(tmp_path / "a.ts", sound=False).read_bytes()
    (tmp_path / "a.mp4").write_bytes(part + part)
    outcome = enlarge(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert "frame 10 has no time, an earlier time than the frame before" in outcome.reason


def test_a_remark_says_that_a_clip_is_cut_off(tmp_path: Path) -> None:
    whole = make(tmp_path / "a.mkv", starts=tuple(range(0, 512 * 100, 512)), sound=False)
    assert enlarge(whole, tmp_path / "b.mkv").notes == ()
    content = whole.read_bytes()
    whole.write_bytes(content[: len(content) // 2])
    outcome = enlarge(whole, tmp_path / "c.mkv")
    assert outcome.status == "made"
    assert "of 4.0 s: the clip seems to be truncated" in outcome.notes[0]


def test_a_remark_says_where_frames_are_missing(tmp_path: Path) -> None:
    """A demultiplexer goes on after damage, and no frame is marked as damaged."""
    starts = *range(0, 512 * 50, 512), *range(512 * 100, 512 * 150, 512)
    clip = make(tmp_path / "a.mkv", starts=starts, sound=False)
    (note,) = enlarge(clip, tmp_path / "b.mkv").notes
    assert ": no frame from 2.0 to 4.0 s: the clip stands still there, or is damaged" in note


def test_steps_of_many_lengths_are_no_gap(tmp_path: Path) -> None:
    starts = (0, 512, 2048, 7000, 7512, 12_000, 14_000)
    clip = make(tmp_path / "a.mkv", starts=starts, sound=False)
    assert enlarge(clip, tmp_path / "b.mkv").notes == ()


def samples(plane: Any, pixels: str) -> NDArray[Any]:
    kind = np.uint16 if "10" in pixels else np.uint8
    rows = np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)
    return rows[:, : plane.width]


def interrupting(call: int) -> Callable[[], None]:
    """A function whose call of that number is interrupted."""
    calls = count(1)

    def seeing() -> None:
        if next(calls) == call:
            raise KeyboardInterrupt

    return seeing


def test_an_interrupted_run_resumes(tmp_path: Path) -> None:
    path, target = make(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    whole = frames(enlarged(path))
    with pytest.raises(KeyboardInterrupt):
        enlarge_clip(watched(interrupting(7)), path, target, 2)
    (folder,) = tmp_path.glob(".b.*.segments")
    assert sorted(os.listdir(folder)) == [".lock", "000000.nut"] and not target.exists()
    counts: list[int] = []
    seen: list[None] = []
    upscaler = watched(lambda: seen.append(None))
    enlarge_clip(upscaler, path, target, 2, lambda done, total: counts.append(done))
    assert counts == [4, 5, 6, 7, 8, 9, 10]
    assert len(seen) == 6
    for one, other in zip(whole, frames(target), strict=True):
        assert one.pts == other.pts
        assert np.array_equal(one.to_ndarray(format="rgb24"), other.to_ndarray(format="rgb24"))
    assert not list(tmp_path.glob(".*"))


def test_unfinished_segments_of_a_killed_process_are_made_again(tmp_path: Path) -> None:
    path, target = make(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    whole = frames(enlarged(path))
    with pytest.raises(KeyboardInterrupt):
        enlarge_clip(watched(interrupting(10)), path, target, 2)
    (folder,) = tmp_path.glob(".b.*.segments")
    (folder / ".000001.0123abcd.nut").write_bytes((folder / "000000.nut").read_bytes()[:500])
    (folder / "000000.nut").replace(folder / "000001.nut")
    enlarge_clip(BICUBIC, path, target, 2)
    assert [one.pts for one in frames(target)] == [one.pts for one in whole]
    assert not list(tmp_path.glob(".*"))


def test_another_network_begins_anew(tmp_path: Path) -> None:
    path, target = make(tmp_path / "a.mp4"), tmp_path / "b.mp4"
    with pytest.raises(KeyboardInterrupt):
        enlarge_clip(watched(interrupting(7), "gan@0.5"), path, target, 2)
    counts: list[int] = []
    upscaler = watched(lambda: None, "gan@0.7")
    enlarge_clip(upscaler, path, target, 2, lambda done, total: counts.append(done))
    assert counts[0] == 0
