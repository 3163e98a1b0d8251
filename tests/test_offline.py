"""Enlarging opens no network connection, as SECURITY.md promises."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from PIL import Image

REFUSED = """
import socket, sys

def refuse(*_):
    raise SystemExit("a connection was opened")

socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
{attempt}
sys.argv = ["prosr", "upscale", "picture.png", "--scale", "2"]
from prosr.cli import main
main()
"""


def run(folder: Path, attempt: str = "") -> subprocess.CompletedProcess[str]:
    Image.new("RGB", (9, 7), "orange").save(folder / "picture.png")
    command = [sys.executable, "-c", REFUSED.format(attempt=attempt)]
    return subprocess.run(command, cwd=folder, check=False, capture_output=True, text=True)


def test_enlarging_opens_no_connection(tmp_path: Path) -> None:
    done = run(tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "picture_x2.png").exists()


def test_a_connection_would_be_noticed(tmp_path: Path) -> None:
    done = run(tmp_path, "socket.create_connection(('127.0.0.1', 9))")
    assert (done.returncode, done.stderr.strip()) == (1, "a connection was opened")
