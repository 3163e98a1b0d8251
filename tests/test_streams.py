"""What a clip holds besides its film comes into the result, or a note says what does not."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from av.audio.stream import AudioStream
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from PIL import Image

from clips import BICUBIC, UNIT, enlarge, make, packets, picture, sing, still
from prosr.jobs import find
from prosr.video import enlarging
from prosr.video.clips import film_of, open_clip
from prosr.video.enlarging import enlarge as enlarge_clip

DATA = Path(__file__).parent / "data"
FLAGS = Disposition.default, Disposition.forced, Disposition.hearing_impaired
MASTERING = "mastering-display=G(13250,34500)B(7500,3000)R(34000,16000)WP(15635,16450)"
HDR10 = f"{MASTERING}L(10000000,1):cll=1000,400"


def film(output: Any, codec: str = "libx264", pixels: str = "yuv420p", **options: str) -> Any:
    stream = output.add_stream(codec, rate=25, options=options)
    assert isinstance(stream, VideoStream)
    stream.width, stream.height, stream.pix_fmt = 64, 48, pixels
    return stream


def show(output: Any, stream: Any) -> None:
    for number in range(5):
        frame = VideoFrame.from_ndarray(picture(number, (64, 48)), "rgb24")
        output.mux(stream.encode(frame.reformat(format=stream.pix_fmt)))
    output.mux(stream.encode(None))


def cover() -> bytes:
    file = BytesIO()
    Image.fromarray(picture(0, (16, 16))).save(file, "jpeg")
    return file.getvalue()


def full(path: Path) -> Path:
    """Three sounds with flags, languages and titles, two films, a chapter, and in MKV a font."""
    tags = {"com.apple.quicktime.make": "Apple", "com.apple.quicktime.model": "iPhone"}
    options = {"movflags": "use_metadata_tags"} if path.suffix == ".mov" else {}
    with av.open(str(path), "w", options=options) as output:
        output.metadata.update({"title": "Trip", **(tags if options else {})})
        films = [film(output), film(output)]
        voices = [output.add_stream("aac", rate=48_000, layout="mono") for _ in FLAGS]
        for voice, flag, language in zip(voices, FLAGS, ("ger", "fre", "eng"), strict=True):
            voice.disposition, voice.metadata["language"] = flag, language
            voice.metadata["title"] = f"in {language}"
        output.set_chapters(
            [{"id": 1, "start": 0, "end": 100, "time_base": UNIT,
              "metadata": {"title": "One"}}]
        )  # fmt: skip
        if path.suffix == ".mkv":
            output.add_attachment("font.ttf", "font/ttf", b"font" * 99)
            output.add_attachment("cover.jpg", "image/jpeg", cover())
        for one in films:
            show(output, one)
        for voice in voices:
            sing(output, voice)
    return path


def held(path: Path) -> list[Any]:
    """Streams, chapters and tags of a clip, without those of its file."""
    with av.open(str(path)) as source:
        streams = [
            (stream.type, Disposition(stream.disposition), stream.language,
             stream.metadata.get("title"), stream.metadata.get("filename"))
            for stream in source.streams
        ]  # fmt: skip
        chapters = [(one["start"], one["end"], one["metadata"]) for one in source.chapters()]
        tags = {k: value for k, value in source.metadata.items() if k.startswith(("t", "com."))}
    return [streams, chapters, tags]


@pytest.mark.parametrize("suffix", ["mp4", "mov", "mkv"])
def test_everything_is_in_the_result(tmp_path: Path, suffix: str) -> None:
    path = full(tmp_path / f"a.{suffix}")
    made = enlarge(path, tmp_path / f"b.{suffix}")
    assert held(tmp_path / f"b.{suffix}") == held(path)
    assert made.notes == (f"{tmp_path}/b.{suffix}: only the first of 2 films is enlarged",)
    assert open_clip(tmp_path / f"b.{suffix}").width == 128


@pytest.mark.parametrize("name", ["full.mkv", "two-audio.mp4", "hdr10.mp4"])
def test_nothing_is_lost_of_what_other_programs_wrote(tmp_path: Path, name: str) -> None:
    path = DATA / name
    made = enlarge(path, tmp_path / name)
    assert (made.status, made.notes) == ("made", ())
    assert held(tmp_path / name) == held(path)
    assert side_data(tmp_path / name) == side_data(path)


def test_what_another_container_lacks_is_said(tmp_path: Path) -> None:
    made = enlarge(full(tmp_path / "a.mkv"), tmp_path / "b.mp4")
    said = {note.removeprefix(f"{tmp_path}/b.mp4: ") for note in made.notes}
    assert {"attachment font.ttf is not kept", "only the first of 2 films is enlarged"} < said


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b'\xbe\x7a\xcf\xcb<?xpacket begin=""?>', "XMP is not kept"),
        (b"\0\0\1\0jumb\0\0\0\x1ejumdc2pa", "content credentials (C2PA) is not kept"),
    ],
)
def test_boxes_that_ffmpeg_does_not_read_are_said(
    tmp_path: Path, content: bytes, said: str
) -> None:
    path = make(tmp_path / "a.mp4", sound=False)
    box = (8 + len(content)).to_bytes(4, "big") + b"uuid" + content
    path.write_bytes(path.read_bytes() + box)
    assert enlarge(path, tmp_path / "b.mp4").notes == (f"{tmp_path}/b.mp4: {said}",)


def test_a_phones_tags_come_into_other_containers(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = full(tmp_path / "a.mov")
    for suffix in ("mkv", "mp4"):
        enlarge(path, tmp_path / f"b.{suffix}")
        with av.open(str(tmp_path / f"b.{suffix}")) as result:
            tags = {key.lower(): value for key, value in result.metadata.items()}
        assert tags["com.apple.quicktime.make"] == "Apple"
    assert capfd.readouterr().err == ""


def test_a_cover_before_the_film_is_not_the_film(tmp_path: Path) -> None:
    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as output:
        image = output.add_stream("mjpeg", rate=1)
        assert isinstance(image, VideoStream)
        image.width, image.height, image.pix_fmt = 16, 16, "yuvj420p"
        image.disposition = Disposition.attached_pic
        stream = film(output)
        frame = VideoFrame.from_ndarray(picture(0, (16, 16)), "rgb24").reformat(format="yuvj420p")
        output.mux(image.encode(frame))
        output.mux(image.encode(None))
        show(output, stream)
    assert open_clip(path).width == 64
    made = enlarge(path, tmp_path / "b.mp4")
    assert made.notes == ()
    with av.open(str(tmp_path / "b.mp4")) as result:
        kinds = sorted((s.width, Disposition(s.disposition).name) for s in result.streams.video)
    assert kinds == [(16, "attached_pic"), (128, "default")]


def side_data(path: Path) -> dict[str, bytes]:
    with av.open(str(path)) as source:
        every: Any = next(source.decode(film_of(source))).side_data
        return {s.type.name: bytes(s) for s in every if s.type.name != "SEI_UNREGISTERED"}


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_hdr10_data_are_kept(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a.{suffix}"
    with av.open(str(path), "w") as output:
        show(output, film(output, pixels="yuv420p10le", **{"x264-params": HDR10}))
    made = enlarge(path, tmp_path / f"b.{suffix}")
    assert side_data(tmp_path / f"b.{suffix}") == side_data(path)
    assert side_data(path).keys() == {"MASTERING_DISPLAY_METADATA", "CONTENT_LIGHT_LEVEL"}
    assert made.notes == ()


@pytest.mark.parametrize(("pixels", "bits"), [("yuv444p12le", 12), ("gbrp16le", 16)])
def test_depth_that_h264_lacks_is_said(tmp_path: Path, pixels: str, bits: int) -> None:
    path = still(tmp_path / "a.mkv", "ffv1", pixels)
    made = enlarge(path, tmp_path / "b.mkv")
    assert made.notes == (f"{tmp_path}/b.mkv: depth of the film: {bits} bits became 10 bits",)


def clip_of(path: Path, codec: str, sound: str, rate: int = 44_100) -> Path:
    with av.open(str(path), "w") as output:
        stream = film(output, codec)
        voice = output.add_stream(sound, rate=rate, layout="stereo")
        assert isinstance(voice, AudioStream)
        voice.bit_rate = 128_000
        show(output, stream)
        size = voice.codec_context.frame_size or 1024
        tone = (0.3 * np.sin(np.arange(4 * size) / 9)).astype(np.float32)
        resampler = av.AudioResampler(voice.codec_context.format, "stereo", rate, size)
        frame = av.AudioFrame.from_ndarray(np.stack([tone, tone]), "fltp", "stereo")
        frame.sample_rate, frame.pts = rate, 0
        for part in (*resampler.resample(frame), None):
            output.mux(voice.encode(part))
    return path


@pytest.mark.parametrize(
    ("name", "codec", "sound"),
    [
        ("a.ts", "libx264", "aac"),
        ("a.m2ts", "mpeg2video", "mp2"),
        ("a.flv", "libx264", "aac"),
        ("a.mpg", "mpeg2video", "mp2"),
        ("a.3gp", "libx264", "aac"),
        ("a.wmv", "wmv2", "wmav2"),
    ],
)
def test_other_containers_become_matroska(
    tmp_path: Path, name: str, codec: str, sound: str
) -> None:
    (tmp_path / "in").mkdir()
    path = clip_of(tmp_path / "in" / name, codec, sound)
    (job,) = find([str(tmp_path / "in")], 2)
    assert (job.kind, job.target.suffix) == ("clip", ".mkv")
    made = enlarge(path, tmp_path / "b.mkv")
    recoded = f"{tmp_path}/b.mkv: coding of sound 1: wmav2 became flac"
    assert (made.status, made.notes) == ("made", (recoded,) if sound == "wmav2" else ())
    # Transport streams have a header before each packet of AAC.
    if name not in ("a.ts", "a.wmv"):
        assert packets(tmp_path / "b.mkv", "audio") == packets(path, "audio") != []
        return
    before, after = samples(path), samples(tmp_path / "b.mkv")
    assert len(before) == len(after) > 2000
    assert np.abs(before - after).max() < 2**-15


def test_a_film_without_a_container_is_enlarged(tmp_path: Path) -> None:
    path = still(tmp_path / "a.m2v", "mpeg2video", "yuv420p")
    assert enlarge(path, tmp_path / "b.mkv").status == "made"


def samples(path: Path) -> Any:
    resampler = av.AudioResampler("fltp", "stereo", 44_100)
    with av.open(str(path)) as source:
        parts = [part for frame in source.decode(audio=0) for part in resampler.resample(frame)]
    return np.concatenate([part.to_ndarray()[0] for part in parts])


def test_typescript_is_no_clip(tmp_path: Path) -> None:
    make(tmp_path / "a.mp4", sound=False)
    (tmp_path / "code.ts").write_text("export const G = 1;" * 99)
    (tmp_path / "code.mts").write_text("GGGG")
    assert [job.source.name for job in find([str(tmp_path)], 2)] == ["a.mp4"]


def test_a_second_process_on_a_clip_is_told_to_wait(tmp_path: Path) -> None:
    path, target = make(tmp_path / "a.mp4", sound=False), tmp_path / "b.mp4"
    seen: list[str] = []

    def again(done: int, total: int) -> None:
        if not seen:
            seen.append("")
            seen.append(enlarge(path, target).reason)

    enlarge_clip(BICUBIC, path, target, 2, again)
    assert "used by another prosr process; wait for it" in seen[1]
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a.mp4", "b.mp4"]


def test_damaged_frames_are_counted(tmp_path: Path) -> None:
    path = make(tmp_path / "a.mkv", sound=False, size=(128, 96))
    data = bytearray(path.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 30] = bytes(30)
    path.write_bytes(data)
    made = enlarge(path, tmp_path / "b.mkv")
    assert made.status == "made" and "damaged frames in the clip: " in made.notes[0]


def test_a_damaged_clip_leaves_no_segments(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(enlarging, "_SEGMENT", 4)
    part = make(tmp_path / "a.ts", sound=False).read_bytes()
    (tmp_path / "a.ts").write_bytes(part + part)
    outcome = enlarge(tmp_path / "a.ts", tmp_path / "b.mkv")
    assert (outcome.status, "an earlier time" in outcome.reason) == ("failed", True)
    assert [one.name for one in tmp_path.iterdir()] == ["a.ts"]


def test_a_clip_that_fails_leaves_no_folder(tmp_path: Path) -> None:
    part = make(tmp_path / "a.ts", sound=False).read_bytes()
    (tmp_path / "a.ts").write_bytes(part + part)
    (tmp_path / "a.ts").rename(tmp_path / "a.mp4")
    assert enlarge(tmp_path / "a.mp4", tmp_path / "new" / "b.mp4").status == "failed"
    assert [one.name for one in tmp_path.iterdir()] == ["a.mp4"]
