"""Clips: frames enlarged, all else as it was, and runs that go on where they stopped."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from numpy.typing import NDArray

from prosr import cli
from prosr.errors import ConfigError, ImageError
from prosr.inference.batch import Job
from prosr.inference.upscaler import load
from prosr.video import enlarging
from prosr.video.clips import open_clip
from prosr.video.enlarging import enlarge_clip
from prosr.video.requests import clip_path, find_clips
from prosr.video.running import reserve, run_clips

UNIT = Fraction(1, 12_800)
FRAMES = 10
BICUBIC = load("bicubic")


@pytest.fixture(autouse=True)
def short_segments(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarging, "_SEGMENT", 4)


def picture(number: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A smooth one, which differs from frame to frame."""
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


def enlarged(path: Path, scale: int = 2) -> Path:
    target = clip_path(path, scale)
    enlarge_clip(open_clip(path), target, scale, lambda x: BICUBIC.upscale(x, scale), "mark")
    return target


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("tags", [(1, 5, 6, 6), (1, 2, 2, 2)])
def test_rate_and_range_are_stated_as_they_were(
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


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sound_is_copied_bit_for_bit(tmp_path: Path, suffix: str) -> None:
    path = make(tmp_path / f"a.{suffix}")
    target = enlarged(path)
    assert packets(target, "audio") == packets(path, "audio") != []


def test_subtitles_are_copied(tmp_path: Path) -> None:
    (tmp_path / "a.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nHello\n")
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


def samples(plane: Any, pixels: str) -> NDArray[Any]:
    kind = np.uint16 if "10" in pixels else np.uint8
    rows = np.frombuffer(bytes(plane), kind).reshape(plane.height, -1)
    return rows[:, : plane.width]


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4")
    whole = frames(enlarged(path))
    clip, target = open_clip(path), tmp_path / "b.mp4"
    seen = 0

    def twice(x: NDArray[Any]) -> NDArray[Any]:
        nonlocal seen
        seen += 1
        if seen == 7:
            raise KeyboardInterrupt
        return BICUBIC.upscale(x, 2)

    with pytest.raises(KeyboardInterrupt):
        enlarge_clip(clip, target, 2, twice, "mark")
    (folder,) = tmp_path.glob(".b.*.segments")
    assert os.listdir(folder) == ["000000.nut"] and not target.exists()
    counts: list[int] = []
    enlarge_clip(clip, target, 2, twice, "mark", lambda done, total: counts.append(done))
    assert counts == [4, 5, 6, 7, 8, 9, 10]
    assert seen == 7 + 6
    for one, other in zip(whole, frames(target), strict=True):
        assert one.pts == other.pts
        assert np.array_equal(one.to_ndarray(format="rgb24"), other.to_ndarray(format="rgb24"))
    assert not list(tmp_path.glob(".*"))


def test_what_a_killed_process_left_of_a_segment_is_made_again(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4")
    whole = frames(enlarged(path))
    clip, target, seen = open_clip(path), tmp_path / "b.mp4", count(1)

    def stop_late(x: NDArray[Any]) -> NDArray[Any]:
        if next(seen) == 10:
            raise KeyboardInterrupt
        return BICUBIC.upscale(x, 2)

    with pytest.raises(KeyboardInterrupt):
        enlarge_clip(clip, target, 2, stop_late, "mark")
    (folder,) = tmp_path.glob(".b.*.segments")
    (folder / ".000001.0123abcd.nut").write_bytes((folder / "000000.nut").read_bytes()[:500])
    (folder / "000000.nut").replace(folder / "000001.nut")
    enlarge_clip(clip, target, 2, lambda x: BICUBIC.upscale(x, 2), "mark")
    assert [one.pts for one in frames(target)] == [one.pts for one in whole]
    assert not list(tmp_path.glob(".*"))


def test_another_network_begins_anew(tmp_path: Path) -> None:
    clip, target = open_clip(make(tmp_path / "a.mp4")), tmp_path / "b.mp4"

    def fail_late() -> Iterator[int]:
        yield from range(6)
        raise KeyboardInterrupt

    count = fail_late()

    def broken(x: NDArray[Any]) -> NDArray[Any]:
        next(count)
        return BICUBIC.upscale(x, 2)

    with pytest.raises(KeyboardInterrupt):
        enlarge_clip(clip, target, 2, broken, "one")
    counts: list[int] = []
    enlarge_clip(
        clip,
        target,
        2,
        lambda x: BICUBIC.upscale(x, 2),
        "two",
        lambda done, total: counts.append(done),
    )
    assert counts[0] == 0


@pytest.mark.parametrize(
    ("content", "complaint"), [(b"", "Invalid data"), (b"hello" * 99, "Invalid data")]
)
def test_what_is_no_clip_is_one_line(tmp_path: Path, content: bytes, complaint: str) -> None:
    path = tmp_path / "a\n.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=rf"a\\n\.mp4: {complaint}"):
        open_clip(path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        sing(output, output.add_stream("aac", rate=48_000, layout="mono"))
    with pytest.raises(ImageError, match="has no pictures, only sound or text"):
        open_clip(path)


def test_clips_below_a_folder_go_where_its_pictures_go(tmp_path: Path) -> None:
    folder = tmp_path / "trip"
    (folder / "day").mkdir(parents=True)
    for name in ("a.mp4", "a_x2.mp4", "b_x2.mp4", ".hidden.mp4", "day/c.avi"):
        (folder / name).touch()
    into = tmp_path / "trip_x2"
    clips, others = find_clips([str(folder)], 2)
    assert {job.source.name: job.target for job in clips} == {
        "a.mp4": into / "a.mp4",
        "b_x2.mp4": into / "b_x2.mp4",
        "c.avi": into / "day" / "c.mkv",
    }
    assert others == []
    (folder / "day" / "c.mkv").touch()
    clips, _ = find_clips([str(folder)], 2)
    assert "its result would replace that of" in clips[-1].refusal
    (folder / "picture.png").touch()
    clips, others = find_clips([str(folder)], 2, str(tmp_path / "out"))
    assert clips[0].target == tmp_path / "out" / "a.mp4"
    assert others == [str(folder)]


def test_a_folder_of_clips_is_enlarged(tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    make(tmp_path / "trip" / "a.mp4")
    command = ["upscale", str(tmp_path / "trip"), "--scale", "2", "--model", "bicubic"]
    sys.argv = ["prosr", *command]
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert open_clip(tmp_path / "trip_x2" / "a.mp4").width == 128


def test_without_av_the_pictures_of_a_folder_are_enlarged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("prosr.video.requests.find_spec", lambda name: None)
    (tmp_path / "trip").mkdir()
    (tmp_path / "trip" / "a.mp4").touch()
    VideoFrame.from_ndarray(picture(0, (8, 8)), "rgb24").save(str(tmp_path / "trip" / "b.png"))
    sys.argv = ["prosr", "upscale", str(tmp_path / "trip"), "--scale", "2", "--model", "bicubic"]
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert stop.value.code == 1
    assert (tmp_path / "trip_x2" / "b.png").exists()
    assert "clips need av; install it with: pip install 'prosr[video]'" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "codec", "pixels"), [("a.mov", "png", "rgba"), ("a.webm", "libvpx-vp9", "yuva420p")]
)
def test_transparency_is_refused(tmp_path: Path, name: str, codec: str, pixels: str) -> None:
    with av.open(str(tmp_path / name), "w") as output:
        stream = output.add_stream(codec, rate=25)
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
        samples = np.dstack((picture(0, (64, 48)), np.full((48, 64), 99, np.uint8)))
        output.mux(stream.encode(VideoFrame.from_ndarray(samples, "rgba").reformat(format=pixels)))
        output.mux(stream.encode(None))
    with pytest.raises(
        ImageError, match=r"has transparency, which H\.264 cannot hold; extract its"
    ):
        open_clip(tmp_path / name)


def test_requests_are_told_apart(tmp_path: Path) -> None:
    clips, others = find_clips(["a.png", "b/c.MP4", "d.webm"], 2)
    assert others == ["a.png"]
    assert [(str(job.source), str(job.target)) for job in clips] == [
        ("b/c.MP4", "b/c_x2.MP4"),
        ("d.webm", "d_x2.mkv"),
    ]
    assert all("no such file" in job.refusal for job in clips)
    (job,), _ = find_clips(["a.mp4"], 2, f"{tmp_path}/out/")
    assert job.target == tmp_path / "out" / "a_x2.mp4"
    for requests, output in ((["a.mp4"], "b.avi"), (["a.mp4", "b.mp4"], "c.mp4")):
        with pytest.raises(ConfigError, match="give a folder, or for a single clip a name"):
            find_clips(requests, 2, output)


def test_frames_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mp4", sound=False)
    jobs = [Job(path, tmp_path / "b.mp4")]
    (job,), held = reserve(jobs, 2, 2_000_000_000)
    assert job.refusal == "" and held == 34 * 3 * 128 * 96
    (job,), held = reserve(jobs, 2, 530_000_000)
    assert "enlarged frames need a memory limit of 0.5 GB" in job.refusal and held == 0


def test_a_clip_that_is_done_is_skipped(tmp_path: Path) -> None:
    jobs = [Job(make(tmp_path / "a.mp4", sound=False), tmp_path / "b.mp4")]
    kinds = [next(run_clips(BICUBIC, jobs, 2)).kind for _ in range(2)]
    assert kinds == ["made", "skipped"]
    (outcome,) = run_clips(BICUBIC, jobs, 4)
    assert (outcome.kind, "--overwrite" in outcome.reason) == ("failed", True)
    (outcome,) = run_clips(BICUBIC, jobs, 4, overwrite=True)
    assert (outcome.kind, frames(tmp_path / "b.mp4")[0].width) == ("made", 256)


def test_the_command_takes_clips_and_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("a.mp4"))
    VideoFrame.from_ndarray(picture(0, (8, 8)), "rgb24").save("b.png")
    words = ["upscale", "a.mp4", "b.png", "--scale", "2", "--model", "bicubic"]
    for more, kind in ((["--dry-run"], "planned"), ([], "made"), ([], "skipped")):
        monkeypatch.setattr(sys, "argv", ["prosr", *words, *more])
        with pytest.raises(SystemExit) as stop:
            cli.main()
        out = capsys.readouterr().out
        assert (stop.value.code, out.count(f"{kind} ")) == (0, 2), out
        assert Path("a_x2.mp4").exists() == (kind != "planned")
