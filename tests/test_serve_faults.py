"""Faults of the service: kill -9, SIGTERM, a full or failing disk, a clock that jumps."""

from __future__ import annotations

import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from serving import Serving, picture, serving, wait_until


def state(server: Serving, job: str) -> list[str]:
    return [p["state"] for p in server.client.get(f"/v1/jobs/{job}").json()["pictures"]]


def files_of(server: Serving, job: Any) -> dict[Path, int]:
    """The results of a job, and when they were written."""
    places = [server.place(p) / p["result"]["name"] for p in job["pictures"] if p["result"]]
    return {path: path.stat().st_mtime_ns for path in places}


def test_a_killed_server_loses_nothing_and_does_nothing_twice(tmp_path: Path) -> None:
    files = [picture(tmp_path, f"{number}.png", 200, 150, number) for number in range(3)]
    server = Serving(tmp_path / "data")
    job = server.submit(*files, scale=2, key="k")["id"]
    wait_until(lambda: state(server, job)[:2] == ["done", "running"])
    before = files_of(server, server.client.get(f"/v1/jobs/{job}").json())
    workers = server.workers()
    server.kill()
    wait_until(lambda: not any(Path(f"/proc/{process}/cmdline").exists() for process in workers))
    with serving(tmp_path / "data") as again:
        assert again.submit(*files, scale=2, key="k")["id"] == job
        ended = again.ended(job)
        assert [p["state"] for p in ended["pictures"]] == ["done"] * 3
        assert before.items() <= files_of(again, ended).items()
        for made in ended["pictures"]:
            result = again.client.get(f"/v1/jobs/{job}/pictures/{made['number']}/result")
            assert result.headers["etag"] == f'"{made["result"]["sha256"]}"'
            assert not list(again.place(made).glob(".*"))


@pytest.mark.slow
def test_a_result_that_was_finished_but_not_noted_is_not_made_again(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        job = server.ended(server.submit(picture(tmp_path, "a.webp", 20, 20), scale=2)["id"])
    made = files_of(server, job)
    with sqlite3.connect(tmp_path / "data" / "jobs.sqlite3") as db:
        db.execute("UPDATE pictures SET state = 'running', result = NULL")
    db.close()
    with serving(tmp_path / "data") as again:
        assert files_of(again, again.ended(job["id"])) == made


def test_killed_workers_are_replaced(tmp_path: Path) -> None:
    with serving(tmp_path / "data") as server:
        job = server.submit(picture(tmp_path, "a.png", 300, 200), scale=2)["id"]
        wait_until(lambda: state(server, job) == ["running"])
        for process in server.workers():
            os.kill(process, signal.SIGKILL)
        assert server.ended(job)["pictures"][0]["state"] == "done"
        # The inspector as well.
        server.submit(picture(tmp_path, "b.png", 20, 20))


def test_a_server_that_is_stopped_parks_what_it_cannot_finish(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("grace_seconds = 1\n")
    options = ("--limits", str(tmp_path / "limits.toml"))
    server = Serving(tmp_path / "data", *options)
    job = server.submit(picture(tmp_path, "a.png", 600, 500), scale=2)["id"]
    wait_until(lambda: state(server, job) == ["running"])
    start = time.monotonic()
    assert server.stop() == 143
    assert time.monotonic() - start < 20
    with serving(tmp_path / "data", *options) as again:
        assert state(again, job)[0] in ("queued", "running")
        assert again.client.delete(f"/v1/jobs/{job}").status_code == 204


def test_a_server_that_is_stopped_finishes_what_it_can(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("grace_seconds = 50\n")
    server = Serving(tmp_path / "data", "--limits", str(tmp_path / "limits.toml"))
    job = server.submit(picture(tmp_path, "a.png", 800, 700), scale=2)["id"]
    wait_until(lambda: state(server, job) == ["running"])
    # The lanes that wait must end as well, which they once did not after a few seconds.
    assert server.stop() == 143
    with sqlite3.connect(tmp_path / "data" / "jobs.sqlite3") as db:
        (said,) = db.execute("SELECT state FROM pictures").fetchone()
    db.close()
    assert said == "done"


@pytest.mark.slow
def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    sent = picture(tmp_path, "a.png", 20, 20)
    with serving(tmp_path / "data") as server:
        job = server.submit(sent)["id"]
    (tmp_path / "limits.toml").write_text(f"free_bytes = {10**15}\n")
    options = ("--limits", str(tmp_path / "limits.toml"))
    full = Serving(tmp_path / "data", *options, ready=503)
    wait_until(lambda: "of disk are free" in full.said())
    assert "of disk are free, fewer than" in full.client.get("/readyz").json()["detail"]
    answer = full.client.post("/v1/jobs", files=[("files", sent)])
    assert answer.status_code == 507
    full.stop()
    assert full.said().count("of disk are free") == 1
    with serving(tmp_path / "data") as again:
        assert again.ended(job)["pictures"][0]["state"] == "done"


@contextmanager
def disk(folder: Path, *options: str) -> Iterator[Path]:
    """A disk of its own at `folder`; only root may mount one."""
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", ",".join(("size=30m", *options)), "tmpfs", str(folder)]
    if not shutil.which("mount") or subprocess.run(mount, check=False).returncode:
        pytest.skip("needs the right to mount a disk")
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


@pytest.mark.slow
def test_work_goes_on_after_a_disk_was_full_to_the_last_byte(tmp_path: Path) -> None:
    (tmp_path / "limits.toml").write_text("free_bytes = 4_000_000\n")
    files = [picture(tmp_path, f"{number}.png", 200, 150, number) for number in range(4)]
    limits = "--limits", str(tmp_path / "limits.toml")
    with disk(tmp_path / "data") as data, serving(data, *limits) as server:
        job = server.submit(*files, scale=4)["id"]
        wait_until(lambda: "running" in state(server, job))
        filler = data / "filler"
        with filler.open("wb", buffering=0) as file:
            while file.write(bytes(100_000)) == 100_000:
                pass
        wait_until(lambda: "of disk are free, fewer than" in server.said())
        answer = server.client.post("/v1/jobs", files=[("files", files[0])])
        assert answer.status_code == 507, answer.text
        assert "the disk" in answer.json()["detail"]
        assert not {"failed", "cancelled"} & {*state(server, job)}
        filler.unlink()
        ended = server.ended(job)
        assert [made["state"] for made in ended["pictures"]] == ["done"] * 4
        for made in ended["pictures"]:
            result = server.client.get(f"/v1/jobs/{job}/pictures/{made['number']}/result")
            assert len(result.content) == made["result"]["bytes"]
        wait_until(lambda: "the queue goes on" in server.said())
        assert len(server.said().splitlines()) == 2, server.said()


@pytest.mark.slow
def test_a_read_only_disk_is_told_in_one_line(tmp_path: Path) -> None:
    with disk(tmp_path / "data", "ro") as data:
        program = [sys.executable, "-m", "prosr", "serve", "--data", str(data / "serve")]
        done = subprocess.run(program, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    reason = "cannot be written (Read-only file system); use another path"
    assert done.stderr.startswith(f"error: {data / 'serve'}: {reason}")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_disk_that_becomes_read_only_loses_nothing(tmp_path: Path) -> None:
    """As Linux does with a disk that has errors."""
    image, data = tmp_path / "image", tmp_path / "data"
    data.mkdir()
    image.write_bytes(bytes(40_000_000))
    mount = ["mount", "-o", "loop", str(image), str(data)]
    make = ["mkfs.ext4", "-q", str(image)]
    if not shutil.which("mkfs.ext4") or any(subprocess.run(c).returncode for c in (make, mount)):
        pytest.skip("needs the right to mount a disk, and mkfs.ext4")
    files = [picture(tmp_path, f"{number}.png", 200, 150, number) for number in range(4)]
    (tmp_path / "limits.toml").write_text("free_bytes = 1_000\n")
    limits = "--limits", str(tmp_path / "limits.toml")
    try:
        with serving(data, *limits) as server:
            job = server.submit(*files, scale=4)["id"]
            wait_until(lambda: "done" in state(server, job))
            subprocess.run(["mount", "-o", "remount,abort", str(data)], check=True)
            wait_until(lambda: "cannot be written" in server.said())
            answer = server.client.post("/v1/jobs", files=[("files", files[0])])
            assert answer.status_code == 507, answer.text
            assert server.client.get("/readyz").status_code == 503
            assert not {"failed", "cancelled"} & {*state(server, job)}
        said = [line for line in server.said().splitlines() if line != "terminated"]
        assert [re.split(r" \(|'", line)[0] for line in said] == [
            "the database cannot be written",
            "the disk of the service cannot be written: [Errno 30] Read-only file system: ",
        ]
        subprocess.run(["umount", str(data)], check=True)
        subprocess.run(["e2fsck", "-fyq", str(image)], check=False)
        subprocess.run(mount, check=True)
        with serving(data, *limits) as again:
            ended = again.ended(job)
            assert [made["state"] for made in ended["pictures"]] == ["done"] * 4
    finally:
        subprocess.run(["umount", "--lazy", str(data)], check=False)


CLOCK = """
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

int clock_gettime(clockid_t clock, struct timespec *now) {
    static int (*original)(clockid_t, struct timespec *);
    if (!original) original = dlsym(RTLD_NEXT, "clock_gettime");
    int code = original(clock, now);
    FILE *file = clock == CLOCK_REALTIME ? fopen(getenv("CLOCK_MOVED"), "r") : NULL;
    long moved = 0;
    if (file) {
        if (fscanf(file, "%ld", &moved) != 1) moved = 0;
        fclose(file);
    }
    now->tv_sec += moved;
    return code;
}

time_t time(time_t *to) {
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    if (to) *to = now.tv_sec;
    return now.tv_sec;
}
"""


@pytest.mark.slow
def test_a_clock_that_jumps_loses_nothing_and_expires_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not shutil.which("gcc"):
        pytest.skip("needs gcc, for a clock that can be moved")
    source, library, moved = (tmp_path / name for name in ("c.c", "c.so", "moved"))
    source.write_text(CLOCK)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", library, source, "-ldl"], check=True)
    moved.write_text("0")
    monkeypatch.setenv("CLOCK_MOVED", str(moved))
    monkeypatch.setenv("LD_PRELOAD", str(library))
    years = 10 * 365 * 86_400
    sent = picture(tmp_path, "a.png", 300, 200)
    for jump in (years, -years):
        server = Serving(tmp_path / f"data{jump}")
        first = server.submit(sent, model="bicubic")["id"]
        second = server.submit(sent, scale=4)["id"]
        wait_until(lambda server=server, job=second: state(server, job) == ["running"])  # type: ignore[misc]
        moved.write_text(str(jump))
        python = [sys.executable, "-c", "import time; print(time.time())"]
        said = subprocess.run(python, capture_output=True, text=True, check=True).stdout
        assert abs(float(said) - time.time() - jump) < 100
        assert [server.ended(job)["pictures"][0]["state"] for job in (first, second)] == [
            "done"
        ] * 2
        assert 86_000 < server.ended(first)["expires_in"] <= 86_400
        server.stop()
        moved.write_text("0")
        with serving(tmp_path / f"data{jump}") as again:
            assert 86_000 < again.ended(first)["expires_in"] <= 86_400
            assert again.submit(sent, model="bicubic")["id"] != first
            assert {*again.said().splitlines()} <= {"terminated"}
