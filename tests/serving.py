"""A real `prosr serve` on the loopback address, for tests."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import numpy as np
from PIL import Image

PATIENCE = 60.0
"""Seconds that anything may take on a machine that does other work."""


class Serving:
    """A running service: its process, its data folder and a client."""

    def __init__(self, data: Path, *options: str, ready: int = 200) -> None:
        """Start the server and wait until /readyz has this status."""
        self.data = data
        memory = () if "--max-memory" in options else ("--max-memory", "2G")
        words = ["serve", "--port", "0", "--data", str(data), "--no-browser", *memory]
        environment = {**os.environ, "PYTHONUNBUFFERED": "1"}
        began = time.monotonic()
        self.log = self.data.with_suffix(".log").open("ab")
        self.process = subprocess.Popen(
            [sys.executable, "-m", "prosr", *words, *options],
            stdout=subprocess.PIPE,
            stderr=self.log,
            env=environment,
            text=True,
        )
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        found = re.search(r"http://\S+", line)
        assert found, self.said() or line
        self.client = httpx.Client(base_url=found[0], timeout=PATIENCE)
        wait_until(lambda: self.client.get("/readyz").status_code == ready)
        self.seconds = time.monotonic() - began

    def kill(self) -> None:
        """Kill -9 the server; its workers notice."""
        self.process.kill()
        self._ended()

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self._ended()

    def _ended(self) -> int:
        code = self.process.wait(PATIENCE)
        self.client.close()
        assert self.process.stdout is not None
        self.process.stdout.close()
        self.log.close()
        return code

    def said(self) -> str:
        """What the server has logged."""
        return self.data.with_suffix(".log").read_text()

    def workers(self) -> list[int]:
        """The worker processes."""
        path = Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        return [int(word) for word in path.read_text().split()]

    def submit(self, *files: tuple[str, bytes], **fields: Any) -> Any:
        """Submit a job, and return what the server says of it."""
        headers = {"Idempotency-Key": fields.pop("key")} if "key" in fields else {}
        sent = [("files", file) for file in files]
        answer = self.client.post("/v1/jobs", files=sent, data=fields, headers=headers)
        assert answer.status_code == 202, answer.text
        return answer.json()

    def ended(self, job: str) -> Any:
        """Wait until a job has ended, and return what the server says of it."""
        wait_until(lambda: self.client.get(f"/v1/jobs/{job}").json()["state"] == "ended")
        return self.client.get(f"/v1/jobs/{job}").json()

    def place(self, picture: Any) -> Path:
        """The folder of a picture in the spool."""
        return Path(self.data, "jobs", picture["job"], str(picture["number"]))


@contextmanager
def serving(data: Path, *options: str) -> Iterator[Serving]:
    """A service that is stopped at the end, however that comes."""
    server = Serving(data, *options)
    try:
        yield server
    finally:
        if server.process.poll() is None:
            server.stop()


def wait_until(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def picture(folder: Path, name: str, width: int, height: int, seed: int = 0) -> tuple[str, bytes]:
    """A picture of noise in the format of its name: the name and its bytes."""
    folder.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    Image.fromarray(pixels).save(folder / name)
    return name, (folder / name).read_bytes()
