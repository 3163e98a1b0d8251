"""The service under its whole API, under load and under kill -9: `make test-service`.

PROSR_MINUTES is the time under load, by default 1, and PROSR_KILLS the number of kills, by
default 6.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import httpx
import pytest

from prosr.inference.loading import load
from prosr.serve.settings import plan_workers
from serving import Serving, picture, serving, wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(3600)]

MINUTES = float(os.environ.get("PROSR_MINUTES", "1"))
KILLS = int(os.environ.get("PROSR_KILLS", "6"))
CLIENTS, MEMORY = 50, 2_000_000_000
SIZES = (64, 48), (96, 96), (128, 96), (256, 192), (700, 500)
WEIGHTS = 20, 20, 15, 10, 2
"""Sizes of the clients' pictures, and how often they are sent. The last size is not small."""

LIMITS = "requests = 100_000\nqueue = 100_000\ninput_pixels = 1_000_000\n"

CHECKS = (
    "not_a_server_error,status_code_conformance,content_type_conformance,"
    "response_schema_conformance,negative_data_rejection,use_after_free"
)


@pytest.fixture
def limits(tmp_path: Path) -> tuple[str, str]:
    (tmp_path / "limits.toml").write_text(LIMITS)
    return "--limits", str(tmp_path / "limits.toml")


def test_no_request_makes_an_error_or_an_undocumented_answer(
    tmp_path: Path, limits: tuple[str, str]
) -> None:
    pytest.importorskip("schemathesis", reason="needs schemathesis: make test-service")
    program = [str(Path(sys.executable).with_name("schemathesis")), "run", "--checks", CHECKS]
    options = ["--max-examples", "30", "--request-timeout", "120", "--generation-deterministic"]
    with serving(tmp_path / "data", *limits) as server:
        url = str(server.client.base_url.join("/openapi.json"))
        done = subprocess.run(
            [*program, *options, url], capture_output=True, text=True, check=False, cwd=tmp_path
        )
        assert done.returncode == 0, done.stdout[-5000:]
        assert server.client.get("/readyz").status_code == 200


def test_the_service_is_ready_within_a_second_and_a_half(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seconds = []
    for _ in range(5):
        with serving(tmp_path / "data") as server:
            seconds.append(server.seconds)
    with capsys.disabled():
        print("\nready after", *(f"{s:.2f}" for s in seconds), "s")
    assert min(seconds) <= 1.5, seconds


def test_a_preview_comes_within_two_seconds_while_others_are_enlarged(
    tmp_path: Path, limits: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    large = [picture(tmp_path / "a", f"{n}.jpg", 1200, 800, n) for n in range(4)]
    small = [picture(tmp_path / "a", f"{n}.png", 300, 200, n) for n in range(40)]
    seconds = []
    with serving(tmp_path / "data", *limits) as server:
        jobs = [server.submit(*large, *small, scale=scale)["id"] for scale in (2, 4, 8)]
        jobs.append(server.submit(*large, scale=4, model="progansr-xs")["id"])
        for number, job in itertools.product(range(4), jobs):
            start = time.monotonic()
            answer = server.client.get(f"/v1/jobs/{job}/pictures/{number}/after.png")
            seconds.append(time.monotonic() - start)
            assert answer.status_code == 200
            views = [server.client.get(f"/v1/jobs/{job}").json() for job in jobs]
            assert "running" in [view["state"] for view in views]
    with capsys.disabled():
        print("\npreviews after", *(f"{s:.2f}" for s in seconds), "s")
    assert max(seconds) <= 2, seconds


class Load:
    """Clients that send pictures again and again, and compare each result with the expected."""

    def __init__(self, server: Serving, folder: Path) -> None:
        self.server, self.ended = server, threading.Event()
        self.latencies: list[float] = []
        self.pixels = self.results = 0
        self.problems: list[str] = []
        self._lock = threading.Lock()
        self._good = [
            picture(folder, f"{number}.png", *size, number) for number, size in enumerate(SIZES)
        ]
        png = self._good[0][1]
        self._hostile = [png[:60], b"", b"GIF89a" + bytes(30), png[:-200], bytes(5000)]
        self.expected = self._enlarge(folder)

    def _enlarge(self, folder: Path) -> list[str]:
        """Hashes of what the command line makes of the pictures, without their provenance."""
        upscaler = load("prosr-xs", max_memory=plan_workers(MEMORY).memory)
        results = []
        for name, _ in self._good:
            made = upscaler.upscale(folder / name, 2, output=folder / f"{name}.x2.png")
            results.append(pixels_of(made.read_bytes()))
        return results

    def run(self, seconds: float, clients: int = CLIENTS) -> None:
        threads = [threading.Thread(target=self._client, args=(n,)) for n in range(clients)]
        for thread in threads:
            thread.start()
        self.ended.wait(seconds)
        self.ended.set()
        for thread in threads:
            thread.join()

    def _client(self, number: int) -> None:
        choice = random.Random(number)
        sent = 0
        while not self.ended.is_set():
            sent += 1
            hostile = choice.random() < 0.05
            (which,) = choice.choices(range(5), WEIGHTS)
            data = self._hostile[which] if hostile else self._good[which][1]
            key = f"{number}-{sent}"
            start = time.monotonic()
            answer = self._send(data, key)
            if answer is None:
                return
            with self._lock:
                self._check(answer, which, hostile, time.monotonic() - start)

    def _send(self, data: bytes, key: str) -> httpx.Response | None:
        """Send until there is an answer: the server may be killed at any moment."""
        while not self.ended.is_set():
            try:
                answer = httpx.post(
                    self.server.client.base_url.join("/v1/upscale"),
                    params={"scale": 2, "name": "a.png"},
                    content=data,
                    headers={"Idempotency-Key": key},
                    timeout=600,
                )
            except httpx.TransportError:
                time.sleep(0.2)
                continue
            if answer.status_code != 503:
                return answer
            time.sleep(0.2)
        return None

    def _check(self, answer: httpx.Response, which: int, hostile: bool, seconds: float) -> None:
        if answer.status_code != (422 if hostile else 200):
            self.problems.append(f"{answer.status_code} {answer.text[:200]}")
        elif not hostile:
            if pixels_of(answer.content) != self.expected[which]:
                self.problems.append(f"wrong result of picture {which}")
            if which < len(SIZES) - 1:
                self.latencies.append(seconds)
            self.results += 1
            self.pixels += SIZES[which][0] * SIZES[which][1]


def pixels_of(png: bytes) -> str:
    """A hash of a PNG's chunks except EXIF, which names the source's place and dates."""
    digest, place = hashlib.sha256(), 8
    while place < len(png):
        length = int.from_bytes(png[place : place + 4], "big")
        if png[place + 4 : place + 8] != b"eXIf":
            digest.update(png[place : place + 12 + length])
        place += 12 + length
    return digest.hexdigest()


def memory_of(server: Serving) -> float:
    text = server.client.get("/metrics").text
    return float(text.partition("\nprosr_memory_bytes ")[2].split()[0])


def test_fifty_clients_get_right_results_within_the_memory(
    tmp_path: Path, limits: tuple[str, str], capsys: pytest.CaptureFixture[str]
) -> None:
    with serving(tmp_path / "data", *limits, "--max-memory", str(MEMORY)) as server:
        work, peak = Load(server, tmp_path / "pictures"), 0.0

        def watch() -> None:
            nonlocal peak
            while not work.ended.wait(1):
                peak = max(peak, memory_of(server))

        watching = threading.Thread(target=watch)
        watching.start()
        start = time.monotonic()
        work.run(60 * MINUTES)
        seconds = time.monotonic() - start
        watching.join()
        assert "Traceback" not in server.said()
    alone = alone_speed(tmp_path)
    p95 = sorted(work.latencies)[int(0.95 * len(work.latencies))]
    with capsys.disabled():
        print(
            f"\n{CLIENTS} clients, {seconds:.0f} s: {work.results} results, "
            f"p95 of small ones {p95:.2f} s, "
            f"{work.pixels / seconds:,.0f} input pixels/s (command line {alone:,.0f}), "
            f"peak {peak / 1e6:.0f} of {MEMORY / 1e6:.0f} MB"
        )
    assert not work.problems, work.problems[:5]
    assert 0 < peak <= MEMORY
    assert work.pixels / seconds >= 0.9 * alone


def alone_speed(folder: Path) -> float:
    """Input pixels per second of `prosr upscale` on the same pictures, many times over."""
    many = folder / "many"
    many.mkdir()
    area = 0
    for path in sorted((folder / "pictures").glob("?.png")):
        for copy in range(WEIGHTS[int(path.stem)]):
            shutil.copy(path, many / f"{copy}-{path.name}")
            width, height = SIZES[int(path.stem)]
            area += width * height
    start = time.monotonic()
    words = ["upscale", str(many), "-s", "2", "-m", "prosr-xs", "--quiet"]
    words += ["--max-memory", str(MEMORY)]
    subprocess.run([sys.executable, "-m", "prosr", *words], check=True)
    return area / (time.monotonic() - start)


def test_kill_9_at_any_moment_loses_nothing(tmp_path: Path, limits: tuple[str, str]) -> None:
    moments = random.Random(0)
    server = Serving(tmp_path / "data", *limits)
    work = Load(server, tmp_path / "pictures")
    running = threading.Thread(target=work.run, args=(3600.0, 8))
    running.start()
    try:
        for number in range(KILLS):
            time.sleep(moments.uniform(0.5, 4))
            if number % 2:
                for process in moments.sample(server.workers(), 1):
                    os.kill(process, signal.SIGKILL)
                continue
            server.kill()
            again = Serving(tmp_path / "data", *limits)
            work.server = again
            server = again
        finished = work.results
        wait_until(lambda: work.results > finished, 600)
        work.ended.set()
        running.join()
        assert not work.problems, work.problems[:5]
        assert_every_result_is_whole(server)
    finally:
        work.ended.set()
        server.stop()


def assert_every_result_is_whole(server: Serving) -> None:
    """Every result that is noted is there with its hash, and was made once."""
    jobs = [path.name for path in (server.data / "jobs").iterdir()]
    assert jobs
    for job in jobs:
        for made in server.ended(job)["pictures"]:
            if made["state"] == "failed":
                # A hostile picture; no good one may fail because its worker was killed.
                assert "damaged" in made["reason"] or "picture" in made["reason"], made
                continue
            assert made["state"] == "done", made
            path = server.place(made) / made["result"]["name"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == made["result"]["sha256"]
