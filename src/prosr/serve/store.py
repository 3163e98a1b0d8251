"""Jobs and pictures in SQLite: what has been accepted, what is running, what is finished.

Every change is one transaction, which is on the disk when the method returns. One connection
writes, under a lock; the other reads, in the thread of the event loop. Methods raise
`sqlite3.Error` if the disk is full or fails.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, Json

State = Literal["queued", "running", "done", "failed", "cancelled"]

_JOB, _HASH = "Xk3v9Qw2TzLr8nYbA1cD4g", "9f86d081884c7d659a2feaa0c55ad015" + 32 * "0"
ENDED = ("done", "failed", "cancelled")

_STRIKES = 10
"""Deaths of its worker, of whatever reason, after which a picture fails."""

_TURN = 2.0
"""Seconds by which each picture of a job ranks behind the one before, so that a hundred pictures
of one client let others' few through."""

_SCHEMA = """
CREATE TABLE IF NOT EXISTS clock (seconds REAL);
INSERT INTO clock SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM clock);
CREATE TABLE IF NOT EXISTS jobs (
    id TEXT PRIMARY KEY, key TEXT UNIQUE, fingerprint TEXT, options TEXT, created REAL, ended REAL
);
CREATE TABLE IF NOT EXISTS pictures (
    job TEXT REFERENCES jobs (id) ON DELETE CASCADE, number INTEGER, name TEXT, bytes INTEGER,
    sha256 TEXT, width INTEGER, height INTEGER, type TEXT, state TEXT, reason TEXT, result TEXT,
    rank REAL, strikes INTEGER DEFAULT 0, PRIMARY KEY (job, number)
);
CREATE INDEX IF NOT EXISTS waiting ON pictures (state, rank);
"""


class Result(BaseModel):
    """The file of a result, and the seconds that it took."""

    name: Annotated[str, Field(examples=["photo_x4.png"])]
    bytes: Annotated[int, Field(examples=[6_291_456])]
    width: Annotated[int, Field(examples=[2048])]
    height: Annotated[int, Field(examples=[1536])]
    type: Annotated[str, Field(examples=["image/png"])]
    sha256: Annotated[str, Field(examples=[_HASH])]
    seconds: Annotated[float, Field(examples=[2.718])]


class StoredPicture(BaseModel):
    """A picture of a job. `reason` is why it failed, or a remark about its result."""

    job: Annotated[str, Field(examples=[_JOB])]
    number: Annotated[int, Field(examples=[0])]
    name: Annotated[str, Field(examples=["photo.png"])]
    bytes: Annotated[int, Field(examples=[393_216])]
    sha256: Annotated[str, Field(examples=[_HASH])]
    width: Annotated[int, Field(examples=[512])] = 0
    height: Annotated[int, Field(examples=[384])] = 0
    type: Annotated[str, Field(examples=["image/png"])] = "application/octet-stream"
    state: State = "queued"
    reason: Annotated[str, Field(examples=["photo.png: empty file"])] = ""
    result: Json[Result] | None = None


class StoredJob(BaseModel):
    """A job. `key` is the client's idempotency key, `ended` the time when its last picture did."""

    id: str
    key: str | None
    fingerprint: str
    options: Json[dict[str, Any]]
    created: float
    ended: float | None = None


class Store:
    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._writing, self._reading = _connect(path), _connect(path)
        self._writing.executescript(_SCHEMA)
        self._started = time.monotonic() - self._value("SELECT seconds FROM clock")

    def close(self) -> None:
        self.tick()
        for connection in (self._writing, self._reading):
            connection.close()

    def now(self) -> float:
        """Seconds that the service has run, so that a wrong system clock expires nothing."""
        return time.monotonic() - self._started

    def tick(self) -> None:
        """Keep the time that has passed."""
        self._change("UPDATE clock SET seconds = ?", self.now())

    def add(self, job: StoredJob, pictures: Sequence[StoredPicture]) -> StoredJob:
        """Accept a job, or return the one that the client submitted under the same key."""
        with self._transaction() as db:
            if known := db.execute("SELECT * FROM jobs WHERE key = ?", [job.key]).fetchone():
                return StoredJob(**known)
            for model in (job, *pictures):
                table = "jobs" if model is job else "pictures"
                values = model.model_dump(round_trip=True)
                names, places = ", ".join(values), ", ".join("?" * len(values))
                db.execute(f"INSERT INTO {table} ({names}) VALUES ({places})", [*values.values()])
            rank = "UPDATE pictures SET rank = ? + ? * number WHERE job = ?"
            db.execute(rank, (job.created, _TURN, job.id))
        return job

    def job(self, job: str) -> StoredJob | None:
        row = self._reading.execute("SELECT * FROM jobs WHERE id = ?", [job]).fetchone()
        return row and StoredJob(**row)

    def pictures(self, job: str) -> list[StoredPicture]:
        query = "SELECT * FROM pictures WHERE job = ? ORDER BY number"
        return [StoredPicture(**row) for row in self._reading.execute(query, [job])]

    def take(self, most_pixels: int) -> StoredPicture | None:
        """Mark the next picture of at most `most_pixels` as running."""
        fitting = "state = 'queued' AND width * height <= ? ORDER BY rank LIMIT 1"
        following = f"SELECT rowid FROM pictures WHERE {fitting}"
        change = f"UPDATE pictures SET state = 'running' WHERE rowid = ({following}) RETURNING *"
        with self._transaction() as db:
            row = db.execute(change, [most_pixels]).fetchone()
        return row and StoredPicture(**row)

    def finish(
        self, picture: StoredPicture, state: State, reason: str = "", result: object = None
    ) -> None:
        """Store the outcome of a running picture, unless it has been cancelled."""
        change = f"UPDATE pictures SET state = ?, reason = ?, result = ? WHERE {_RUNS}"
        stored = result and json.dumps(result, allow_nan=False)
        self._change(change, state, reason, stored, picture.job, picture.number)

    def requeue(self, picture: StoredPicture, strikes: int) -> None:
        """Return a running picture to the queue; it fails after too many strikes."""
        key = picture.job, picture.number
        self._change(f"UPDATE pictures SET strikes = strikes + ? WHERE {_RUNS}", strikes, *key)
        query = "SELECT strikes FROM pictures WHERE job = ? AND number = ?"
        if self._value(query, *key) < _STRIKES:
            self.finish(picture, "queued")
        else:
            line = "its process ended each time; save it as PNG in another program"
            self.finish(picture, "failed", f"{picture.name}: {line}")

    def recover(self, strikes: int) -> None:
        """Return all running pictures to the queue."""
        running = self._reading.execute("SELECT * FROM pictures WHERE state = 'running'")
        for row in running.fetchall():
            self.requeue(StoredPicture(**row), strikes)

    def cancel(self, job: str, number: int | None) -> None:
        """Cancel a picture, or all of the job, unless it has ended."""
        which = "job = ? AND number = IFNULL(?, number) AND state IN ('queued', 'running')"
        self._change(f"UPDATE pictures SET state = 'cancelled' WHERE {which}", job, number)

    def delete(self, job: str) -> None:
        self._change("DELETE FROM jobs WHERE id = ?", job)

    def jobs(self, ended_before: float | None = None) -> list[str]:
        """All jobs, or those that ended before a time."""
        query = "SELECT id FROM jobs WHERE ?1 IS NULL OR ended < ?1"
        return [row[0] for row in self._reading.execute(query, [ended_before])]

    def queue(self, before: StoredPicture | None = None) -> tuple[int, int]:
        """Number and input pixels of the pictures that wait, or of those before a picture."""
        ranks = "SELECT rank FROM pictures WHERE job = ?1 AND number = ?2"
        query = "SELECT COUNT(*), IFNULL(SUM(width * height), 0) FROM pictures WHERE "
        query += f"state = 'queued' AND (?1 IS NULL OR rank < ({ranks}))"
        key = (before.job, before.number) if before else (None, None)
        return tuple(self._reading.execute(query, key).fetchone())

    def count(self, state: str) -> float:
        return self._value("SELECT COUNT(*) FROM pictures WHERE state = ?", state)

    def used(self) -> float:
        """Bytes of all uploads and results."""
        size = "bytes + IFNULL(json_extract(result, '$.bytes'), 0)"
        return self._value(f"SELECT IFNULL(SUM({size}), 0) FROM pictures")

    def _value(self, query: str, *values: Any) -> float:
        return float(self._reading.execute(query, values).fetchone()[0])

    def _change(self, change: str, *values: Any) -> None:
        """Make a change, and note the time if the last picture of a job has ended."""
        unfinished = "SELECT 1 FROM pictures WHERE job = id AND state IN ('queued', 'running')"
        end = f"UPDATE jobs SET ended = ? WHERE ended IS NULL AND NOT EXISTS ({unfinished})"
        with self._transaction() as db:
            db.execute(change, values)
            db.execute(end, [self.now()])

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock:
            self._writing.execute("BEGIN IMMEDIATE")
            try:
                yield self._writing
                self._writing.execute("COMMIT")
            finally:
                # After an error, unless a full disk has rolled back already.
                if self._writing.in_transaction:
                    self._writing.execute("ROLLBACK")


_RUNS = "job = ? AND number = ? AND state = 'running'"


def _connect(path: Path) -> sqlite3.Connection:
    db = sqlite3.connect(path, timeout=30, isolation_level=None, check_same_thread=False)
    db.row_factory = sqlite3.Row
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON"):
        db.execute(f"PRAGMA {pragma}")
    return db
