"""Clips as jobs: where results go, what is refused, and what is skipped."""

from __future__ import annotations

import sys
from pathlib import Path

import av
import numpy as np
import pytest
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from clips import (
    BICUBIC,
    enlarge,
    frames,
    make,
    picture,
    sing,
)
from prosr import cli
from prosr.errors import ConfigError, ImageError
from prosr.jobs import Job, find, fit, run
from prosr.video.clips import open_clip


def test_a_colon_in_a_name_is_not_a_protocol(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("a.mp4"), sound=False).rename("12:30.mp4")
    assert enlarge(Path("12:30.mp4"), Path("12:30_x2.mp4")).status == "made"


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"hello" * 99,
        b"ffconcat version 1.0\nfile whole.mp4\n",
        b"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nwhole.mp4\n#EXT-X-ENDLIST\n",
    ],
)
def test_a_file_that_is_not_a_clip_is_refused_in_one_line(tmp_path: Path, content: bytes) -> None:
    make(tmp_path / "whole.mp4", sound=False)
    path = tmp_path / "a\n.mp4"
    path.write_bytes(content)
    with pytest.raises(ImageError, match=r"a\\n\.mp4: is damaged or not a clip"):
        open_clip(path)


def test_sound_alone_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        sing(output, output.add_stream("aac", rate=48_000, layout="mono"))
    with pytest.raises(ImageError, match="has no pictures, only sound or text"):
        open_clip(path)


def test_results_of_a_folders_clips_copy_its_tree(tmp_path: Path) -> None:
    folder = tmp_path / "trip"
    (folder / "day").mkdir(parents=True)
    for name in ("b_x2.mp4", ".hidden.mp4", "day/c.avi"):
        (folder / name).touch()
    enlarge(make(folder / "a.mp4"), folder / "a_x2.mp4")
    into = tmp_path / "trip_x2"
    jobs = find([str(folder)], 2)
    assert {job.source.name: job.target for job in jobs} == {
        "a.mp4": into / "a.mp4",
        "b_x2.mp4": into / "b_x2.mp4",
        "c.avi": into / "day" / "c.mkv",
    }
    (folder / "a.png").touch()
    jobs = find([str(folder)], 2, str(tmp_path / "out"))
    assert [(job.kind, job.target) for job in jobs[:2]] == [
        ("clip", tmp_path / "out" / "a.mp4"),
        ("picture", tmp_path / "out" / "a.png"),
    ]


def test_a_clip_named_twice_is_enlarged_once_and_its_result_never(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "trip").mkdir()
    (tmp_path / "trip_x2").mkdir()
    enlarge(make(Path("trip/a.mp4")), Path("trip_x2/a.mp4"))
    Path("._x2.mp4").touch()
    jobs = find(["trip", "trip_x2", "./trip/a.mp4", "trip/a.mp4", "._x2.mp4"], 2)
    assert [job.source.as_posix() for job in jobs] == ["trip/a.mp4", "._x2.mp4"]


def test_a_folder_of_clips_is_enlarged(tmp_path: Path) -> None:
    (tmp_path / "trip").mkdir()
    make(tmp_path / "trip" / "a.mp4")
    command = ["upscale", str(tmp_path / "trip"), "--scale", "2", "--model", "bicubic"]
    sys.argv = ["prosr", *command]
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code
    assert open_clip(tmp_path / "trip_x2" / "a.mp4").width == 128


def test_without_pyav_pictures_are_enlarged_and_clips_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("prosr.jobs.requests.find_spec", lambda name: None)
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


def test_webm_becomes_matroska() -> None:
    jobs = find(["a.png", "b/c.MP4", "d.webm"], 2)
    assert [(job.kind, str(job.target)) for job in jobs] == [
        ("picture", "a_x2.png"),
        ("clip", "b/c_x2.MP4"),
        ("clip", "d_x2.mkv"),
    ]
    assert all("no such file" in job.refusal for job in jobs)


def test_a_clip_and_a_picture_may_have_the_same_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    make(Path("a.mp4"), sound=False)
    VideoFrame.from_ndarray(picture(0, (8, 8)), "rgb24").save("a.png")
    for status in ("made", "skipped"):
        outcomes = run(BICUBIC, find(["a.mp4", "a.png"], 2), 2)
        assert [outcome.status for outcome in outcomes] == [status] * 2


def test_the_output_of_a_clip_is_a_folder_or_has_a_clips_suffix(tmp_path: Path) -> None:
    (job,) = find(["a.mp4"], 2, f"{tmp_path}/out/")
    assert job.target == tmp_path / "out" / "a_x2.mp4"
    with pytest.raises(
        ConfigError, match=r"b\.avi: its name must end in \.mp4, .*; or give a folder"
    ):
        find(["a.mp4"], 2, "b.avi")
    with pytest.raises(ConfigError, match="names one file, not a folder; give a folder"):
        find(["a.mp4", "b.mp4"], 2, "c.mp4")


def test_clips_whose_frames_do_not_fit_into_memory_are_refused(tmp_path: Path) -> None:
    path, other = make(tmp_path / "a.mp4", sound=False), tmp_path / "b.png"
    jobs = [Job(path, tmp_path / "c.mp4"), Job(other, tmp_path / "c.png")]
    assert fit(jobs, 2, 2_000_000_000) == (jobs, 2_000_000_000 - 34 * 3 * 128 * 96)
    fitting, memory = fit(jobs, 2, 513_000_000)
    assert "enlarged frames need a memory limit of 514 MB" in fitting[0].refusal
    assert (fitting[1], memory) == (jobs[1], 513_000_000)
    with pytest.raises(ImageError, match="need a memory limit of 514 MB"):
        fit(jobs[:1], 2, 513_000_000)


def test_a_clip_that_is_done_is_skipped(tmp_path: Path) -> None:
    jobs = [Job(make(tmp_path / "a.mp4", sound=False), tmp_path / "b.mp4")]
    kinds = [next(run(BICUBIC, jobs, 2)).status for _ in range(2)]
    assert kinds == ["made", "skipped"]
    (outcome,) = run(BICUBIC, jobs, 4)
    assert (outcome.status, "--overwrite" in outcome.reason) == ("failed", True)
    (outcome,) = run(BICUBIC, jobs, 4, overwrite=True)
    assert (outcome.status, frames(tmp_path / "b.mp4")[0].width) == ("made", 256)


def test_the_result_of_another_clip_is_not_skipped(tmp_path: Path) -> None:
    enlarge(make(tmp_path / "a.mp4", sound=False), tmp_path / "b.mp4")
    other = make(tmp_path / "other.mp4", sound=False, size=(32, 32))
    outcome = enlarge(other, tmp_path / "b.mp4")
    assert (outcome.status, "made from another file" in outcome.reason) == ("failed", True)
    other.replace(tmp_path / "a.mp4")
    outcome = enlarge(tmp_path / "a.mp4", tmp_path / "b.mp4")
    assert (outcome.status, outcome.reason) == ("made", "replaced: the clip has changed")


def test_patterns_match_clips_and_pictures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.png", "c.txt"):
        Path(name).touch()
    for pattern, names in (("*.mp4", ["a.mp4"]), ("*", ["a.mp4", "b.png"])):
        assert [job.source.name for job in find([pattern], 2)] == names


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
