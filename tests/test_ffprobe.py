"""Clips that ffmpeg and mkvmerge have made, and what ffprobe sees in their results."""

from __future__ import annotations

import json
import os
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from clips import enlarge
from prosr.video import clip_suffix

DATA = Path(__file__).parent / "data"
FILM = "-f lavfi -i testsrc=s=64x48:d=1:r=25"
SOUND = "-f lavfi -i sine=d=1"
MADE = {
    "flags.mp4": f"{FILM} {SOUND} {SOUND} -map 0 -map 1 -map 2 -pix_fmt yuv420p -disposition:a:0 0 "
    "-disposition:a:1 default -metadata:s:a:1 language=fre -metadata artist=Me -metadata date=2020",
    "texts.mp4": f"{FILM} {SOUND} -i a.srt -pix_fmt yuv420p -c:s mov_text -disposition:s:0 forced "
    "-metadata:s:s:0 language=ger -metadata:s:s:0 title=Deutsch",
    "texts.mkv": f"{FILM} {SOUND} -i a.srt -i a.txt -map_metadata 3 -pix_fmt yuv420p -c:s srt "
    "-attach a.srt -metadata:s:t mimetype=font/ttf -disposition:s:0 hearing_impaired",
    "phone.mov": f"{FILM} {SOUND} -pix_fmt yuv420p -movflags use_metadata_tags "
    "-metadata com.apple.quicktime.make=Apple -metadata com.apple.quicktime.model=iPhone "
    "-metadata com.apple.quicktime.location.ISO6709=+52.5+013.4/",
    "place.mp4": f"{FILM} -pix_fmt yuv420p -metadata location=+52.5+013.4/ -metadata title=A",
    "timecode.mov": f"{FILM} -pix_fmt yuv420p -timecode 01:02:03:04",
    "films.mkv": f"{FILM} {FILM} -map 0 -map 1 -pix_fmt yuv420p -metadata:s:v:1 title=Second",
    "deep.mkv": f"{FILM} -c:v libx265 -x265-params log-level=error -pix_fmt yuv420p12le",
    "a.ts": f"{FILM} {SOUND} -c:v mpeg2video -c:a mp2",
    "a.flv": f"{FILM} {SOUND} -c:v flv1 -c:a libmp3lame -ar 44100",
    "a.wmv": f"{FILM} {SOUND} -c:v wmv2 -c:a wmav2 -metadata title=A",
    "a.ogv": f"{FILM} {SOUND} -c:v libtheora -c:a libvorbis",
    "a.mxf": f"{FILM} {SOUND} -c:v mpeg2video -ar 48000",
}
OF_THE_FILE = (
    "encoder", "major_brand", "minor_version", "compatible_brands", "duration", "vendor_id", "bps",
    "number_of", "_statistics", "handler_name", "comment", "mimetype", "filename", "creation_time",
)  # fmt: skip


@pytest.fixture(scope="module", autouse=True)
def ffmpeg() -> None:
    """FFmpeg's programs, installed if this machine lacks them and lets us."""
    if not shutil.which("ffprobe") and shutil.which("apt-get") and os.geteuid() == 0:
        subprocess.run(["apt-get", "install", "-y", "ffmpeg"], capture_output=True, check=False)
    if not shutil.which("ffprobe"):
        pytest.skip("ffprobe is missing and could not be installed: apt-get install ffmpeg")


def made(folder: Path, name: str) -> Path:
    path = folder / name
    if (DATA / name).exists():
        return Path(shutil.copy(DATA / name, path))
    (folder / "a.srt").write_text("1\n00:00:00,000 --> 00:00:00,600\nHello\n")
    chapter = "[CHAPTER]\nTIMEBASE=1/1000\nSTART=0\nEND=500\ntitle=One\n"
    (folder / "a.txt").write_text(f";FFMETADATA1\ntitle=Trip\n{chapter}")
    words = ["ffmpeg", "-v", "error", *shlex.split(MADE[name]), str(path)]
    subprocess.run(words, cwd=folder, check=True)
    return path


def seen(path: Path) -> dict[str, Any]:
    """What ffprobe reports: streams with their flags and tags, chapters and tags."""
    show = ["-show_streams", "-show_chapters", "-show_format", "-of", "json"]
    output = subprocess.run(
        ["ffprobe", "-v", "error", *show, path], capture_output=True, check=True
    )
    found = json.loads(output.stdout)
    things: dict[str, Any] = {}
    for stream in found["streams"]:
        kind = stream["codec_type"]
        number = sum(key.startswith(kind) and " " not in key for key in things)
        name = f"{kind}{number}"
        things[name] = stream.get("codec_name") if kind != "video" else ""
        things[f"{name} flags"] = [key for key, value in stream["disposition"].items() if value]
        things |= tags(stream, f"{name} ")
        depth = stream.get("pix_fmt", "")
        things[f"{name} depth"] = next((bits for bits in ("12", "10") if bits in depth), "8")
    for number, chapter in enumerate(found["chapters"]):
        things[f"chapter{number}"] = [chapter["start_time"], chapter["tags"]]
    return things | tags(found["format"], "")


def tags(about: dict[str, Any], name: str) -> dict[str, str]:
    every = {key.lower().replace("name", "title"): v for key, v in about.get("tags", {}).items()}
    return {
        f"{name}{key}": value
        for key, value in every.items()
        if not key.startswith((*OF_THE_FILE, "handler_title", "filetitle")) and value != "und"
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", [*MADE, "full.mkv", "two-audio.mp4", "hdr10.mp4"])
def test_what_ffprobe_misses_is_noted(tmp_path: Path, name: str) -> None:
    path = made(tmp_path, name)
    target = tmp_path / f"result{clip_suffix(path)}"
    outcome = enlarge(path, target)
    assert outcome.status == "made", outcome.reason
    before, after = seen(path), seen(target)
    # Without a flag in the source, a container may count the only track of a kind as the default.
    changed = {
        key: (value, after.get(key))
        for key, value in before.items()
        if after.get(key) != value and not (value == [] and after.get(key) == ["default"])
    }
    noted = {"deep.mkv": {"video0 depth"}, "a.wmv": {"audio0"}}
    assert changed.keys() == noted.get(name, set()), (changed, outcome.notes)
    assert len(outcome.notes) == len(changed) + (name == "films.mkv"), outcome.notes


@pytest.mark.slow
def test_hdr10_is_in_the_headers_of_the_stream(tmp_path: Path) -> None:
    path = made(tmp_path, "hdr10.mp4")
    enlarge(path, tmp_path / "result.mp4")
    words = ["ffmpeg", "-v", "verbose", "-i", "result.mp4", "-c", "copy", "-bsf:v", "trace_headers"]
    traced = subprocess.run(
        [*words, "-f", "null", "-"], cwd=tmp_path, capture_output=True, check=True, text=True
    ).stderr
    for field, value in {"white_point_x": 15635, "max_content_light_level": 1000}.items():
        assert any(f" {field} " in line and f"= {value}" in line for line in traced.splitlines())
