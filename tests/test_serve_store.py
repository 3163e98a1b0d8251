"""The database and the spool of the service, and its limits."""

from __future__ import annotations

import io
import json
import sqlite3
import tomllib
from pathlib import Path
from typing import Any

import pytest

from prosr.errors import ConfigError
from prosr.serve.settings import Limits, plan_workers, read_limits
from prosr.serve.spool import Spool, safe_name
from prosr.serve.store import Store, StoredJob, StoredPicture


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return Store(tmp_path / "jobs.sqlite3")


def job(name: str, created: float = 0.0, key: str | None = None) -> StoredJob:
    about: dict[str, Any] = {"id": name, "key": key, "fingerprint": name}
    about["options"] = json.dumps({"scale": 2})
    return StoredJob(**about, created=created)


def pictures(name: str, count: int = 1, side: int = 10) -> list[StoredPicture]:
    about: dict[str, Any] = {"job": name, "bytes": 100, "width": side, "height": side}
    about |= {"type": "image/png", "name": "a.png", "sha256": "0"}
    return [StoredPicture(**about, number=number) for number in range(count)]


def test_pictures_of_many_clients_take_turns(store: Store) -> None:
    store.add(job("many", created=0), pictures("many", 4))
    store.add(job("few", created=3), pictures("few"))
    taken = [store.take(1000) for _ in range(5)]
    assert [p and p.job for p in taken] == ["many", "many", "few", "many", "many"]
    assert store.take(1000) is None


def test_a_lane_for_small_pictures_passes_large_ones(store: Store) -> None:
    store.add(job("large"), pictures("large", side=100))
    store.add(job("small", created=1), pictures("small"))
    taken = store.take(1000)
    assert taken is not None
    assert taken.job == "small"


def test_the_same_key_returns_the_first_job(store: Store) -> None:
    store.add(job("a", key="k"), pictures("a"))
    assert store.add(job("b", key="k"), pictures("b")).id == "a"
    assert store.jobs() == ["a"]


def test_what_was_running_waits_again_after_a_start(store: Store, tmp_path: Path) -> None:
    store.add(job("a"), pictures("a"))
    store.take(1000)
    again = Store(tmp_path / "jobs.sqlite3")
    again.recover(1)
    assert [p.state for p in again.pictures("a")] == ["queued"]


def test_a_picture_that_ends_its_worker_again_and_again_fails(store: Store) -> None:
    store.add(job("a"), pictures("a"))
    deaths = 0
    while taken := store.take(1000):
        store.requeue(taken, 1)
        deaths += 1
    assert deaths == 10
    (failed,) = store.pictures("a")
    assert (failed.state, failed.reason[:7]) == ("failed", "a.png: ")


def test_a_cancelled_picture_stays_cancelled(store: Store) -> None:
    store.add(job("a"), pictures("a", 2))
    taken = store.take(1000)
    assert taken is not None
    store.cancel("a", 0)
    store.finish(taken, "done")
    assert [p.state for p in store.pictures("a")] == ["cancelled", "queued"]


def test_jobs_expire_by_the_time_that_the_service_has_run(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.add(job("a"), pictures("a"))
    taken = store.take(1000)
    assert taken is not None
    store.finish(taken, "done")
    # A system clock that jumps a century ahead changes nothing.
    monkeypatch.setattr("time.time", lambda: 5e9)
    assert store.jobs(store.now() - 60) == []
    assert store.jobs(store.now() + 1) == ["a"]
    ran = store.now()
    store.close()
    assert ran <= Store(tmp_path / "jobs.sqlite3").now() < ran + 60


def test_a_job_is_accepted_whole_or_not_at_all(store: Store) -> None:
    pages = store._writing.execute("PRAGMA page_count").fetchone()[0]
    store._writing.execute(f"PRAGMA max_page_count = {pages}")
    with pytest.raises(sqlite3.OperationalError, match="full"):
        store.add(job("a"), pictures("a", 2000))
    assert store.jobs() == []
    store._writing.execute(f"PRAGMA max_page_count = {pages + 1000}")
    store.add(job("a"), pictures("a", 2000))
    assert store.queue() == (2000, 200_000)


@pytest.mark.parametrize(
    ("name", "safe"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\pictures\\a b.png", "a b.png"),
        (".htaccess", "htaccess"),
        ("-rf.png", "rf.png"),
        ("a\0b\n[n=1].tif", "a_b__n=1_.tif"),
        ("été.jpeg", "été.jpeg"),
        ("", "picture"),
        ("...", "picture"),
        ("before.png", "picture.png"),
        ("x" * 300 + ".webp", "x" * 40 + ".webp"),
    ],
)
def test_a_clients_file_name_is_harmless(name: str, safe: str) -> None:
    assert safe_name(name) == safe


def test_uploads_that_were_not_accepted_vanish(tmp_path: Path) -> None:
    spool = Spool(tmp_path / "jobs")
    for name in ("kept", "lost"):
        spool.write(name, 0, "a.png", io.BytesIO(b"data"))
    (spool.place("kept", 0) / ".a_x4.1234.png").touch()
    spool.keep_only(["kept"])
    assert [path.name for path in sorted(tmp_path.rglob("*"))] == [
        "a.png",
        "jobs",
        "kept",
        "0",
    ] or {path.name for path in tmp_path.rglob("*")} == {"jobs", "kept", "0", "a.png"}


@pytest.mark.parametrize("memory", [600_000_000, 1_000_000_000, 4_000_000_000, 64_000_000_000])
def test_workers_share_the_memory(memory: int) -> None:
    plan = plan_workers(memory)
    assert 350_000_000 <= plan.memory <= (memory - 250_000_000) / len(plan.workers)
    assert plan.workers[0] == "general-0"


def test_the_documents_state_the_default_limits() -> None:
    text = (Path(__file__).parents[1] / "docs" / "service.md").read_text("utf-8")
    block = text.partition("```toml\n")[2].partition("```")[0]
    assert tomllib.loads(block) == Limits().model_dump() | {"models": list(Limits().models)}


def test_limits_come_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "limits.toml"
    path.write_text("queue = 7\n")
    assert read_limits(path) == Limits(queue=7)
    path.write_text("queue = 0\n")
    with pytest.raises(ConfigError, match=r"limits\.toml: queue: .* greater than 0"):
        read_limits(path)
    path.write_text("quue = 7\n")
    with pytest.raises(ConfigError, match=r"limits\.toml: quue: Extra inputs"):
        read_limits(path)
