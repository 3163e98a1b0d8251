"""Faults of the service: kill -9, SIGTERM, a full disk."""

from __future__ import annotations

import os
import signal
import sqlite3
import time
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
