"""Standard output and error in any state: the work is done, and the exit code says what failed."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

NAME = "Größe 写.png"


def shell(
    folder: Path, arguments: str, redirected: str = "", **variables: str
) -> subprocess.CompletedProcess[bytes]:
    """Run `prosr` in a shell; `redirected` is put after the command."""
    Image.new("RGB", (8, 8)).save(folder / NAME)
    command = f"{sys.executable} -m prosr {arguments} {redirected}"
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", command],
        cwd=folder,
        capture_output=True,
        env={**os.environ, **variables},
        check=False,
    )


UPSCALE = "upscale *.png --scale 2 --model bicubic"
RESULT = "Größe 写_x2.png"


@pytest.mark.parametrize(
    ("redirected", "code", "said"),
    [
        ("> /dev/full", 1, "error: standard output: No space left on device; some of it is lost\n"),
        (">&-", 1, "error: standard output: Bad file descriptor; some of it is lost\n"),
        ("| true", 0, ""),
        pytest.param("--quiet >&-", 0, "", marks=pytest.mark.slow),
        pytest.param("2>&-", 0, "", marks=pytest.mark.slow),
        pytest.param("<&- >&- 2>&-", None, "", marks=pytest.mark.slow),
    ],
)
def test_a_lost_output_stream_stops_no_work(
    tmp_path: Path, redirected: str, code: int | None, said: str
) -> None:
    ended = shell(tmp_path, UPSCALE, redirected)
    assert ended.stderr.decode() == said
    assert code is None or ended.returncode == code
    with Image.open(tmp_path / RESULT) as result:
        assert result.size == (16, 16)


@pytest.mark.slow
@pytest.mark.parametrize("redirected", [">&-", "> /dev/full", "| true", "2>&-", "2> /dev/full"])
def test_a_failure_keeps_its_exit_code(tmp_path: Path, redirected: str) -> None:
    ended = shell(tmp_path, f"{UPSCALE} missing.png", redirected)
    assert (ended.returncode, b"Traceback" in ended.stderr) == (1, False)
    assert shell(tmp_path, "upscale missing.png", redirected).returncode == 2


@pytest.mark.parametrize("encoding", ["ascii", "latin-1"])
def test_a_name_beyond_the_encoding_is_escaped(tmp_path: Path, encoding: str) -> None:
    ended = shell(tmp_path, UPSCALE, PYTHONIOENCODING=encoding, LC_ALL="C")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert (tmp_path / RESULT).exists()
    # In ASCII, typer writes UTF-8.
    name = RESULT.encode() if encoding == "ascii" else RESULT.encode(encoding, "backslashreplace")
    assert name in ended.stdout


@pytest.mark.parametrize(
    "verb",
    ["upscale", *(pytest.param(verb, marks=pytest.mark.slow) for verb in ("", "train", "bench"))],
)
def test_help_can_be_read_in_ascii(tmp_path: Path, verb: str) -> None:
    ended = shell(tmp_path, f"{verb} --help", PYTHONIOENCODING="ascii", LC_ALL="C")
    assert (ended.returncode, ended.stderr) == (0, b"")
    assert "Usage: prosr" in ended.stdout.decode("ascii")


@pytest.mark.slow
def test_the_first_line_is_enough(tmp_path: Path) -> None:
    ended = shell(tmp_path, "info prosr-xs", "| head -1")
    assert (ended.returncode, ended.stdout.count(b"\n"), ended.stderr) == (0, 1, b"")
