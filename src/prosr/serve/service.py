"""The service: accepts jobs, has its workers do them, tells clients how far they are."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ParamSpec, TypeVar

from prosr.errors import ConfigError
from prosr.serve.pool import INSPECTOR, Message, Pool, WorkerDied
from prosr.serve.settings import EXPRESS, PREVIEWER, Limits, plan_workers
from prosr.serve.spool import PREVIEWS, Spool
from prosr.serve.store import Store, StoredJob, StoredPicture

_LOG = logging.getLogger("prosr.serve")

_QUICK, _TRIES = 20.0, 3
"""Seconds for a header or a preview of a picture, and how many workers may die of it."""

_SWEEP, _WATCH, _PAUSE, _KNOWN = 5.0, 0.5, 2.0, 5.0
"""Seconds between looks for expired jobs, for memory, and between attempts after a failure; and
of work before the speed is known."""

P = ParamSpec("P")
T = TypeVar("T")


class Denied(Exception):
    """A request that is not fulfilled: an HTTP status, and a line for each reason.

    `wait` is the number of seconds after which another attempt is useful.
    """

    def __init__(self, status: int, *reasons: str, wait: int | None = None) -> None:
        self.status, self.reasons, self.wait = status, reasons, wait
        super().__init__(reasons[0])


@dataclass(eq=False)
class Running:
    """A picture in work. `ending` is why the service stops it, or empty."""

    worker: str
    started: float = field(default_factory=time.monotonic)
    share: float = 0.0
    ending: str = ""


class Service:
    """Everything behind the HTTP API. `data` is a folder that nobody else uses.

    Raises `ConfigError` if `max_memory` is too little.
    """

    def __init__(self, data: Path, limits: Limits, max_memory: int) -> None:
        self.limits, self._max_memory = limits, max_memory
        self.plan = plan_workers(max_memory)
        self.pool = Pool(self.plan, limits.models[0])
        self.spool, self.store = Spool(data / "jobs"), Store(data / "jobs.sqlite3")
        self.models: list[Message] = []
        self.running: dict[tuple[str, int], Running] = {}
        self.memory, self._used, self._failure, self._lately = 0, 0.0, "", (0.0, 0.0)
        self.is_stopping: Callable[[], bool] = lambda: False
        self._changed, self._tasks = asyncio.Event(), list[asyncio.Task[None]]()
        self._previewing = asyncio.Lock()

    @property
    def speed(self) -> float:
        """Input pixels per second lately; 0 before a few seconds of work."""
        pixels, seconds = self._lately
        return pixels / seconds if seconds > _KNOWN else 0.0

    @property
    def trouble(self) -> str:
        """Why the queue waits, or an empty string."""
        free, least = self.spool.free(), self.limits.free_bytes
        if free >= least:
            return self._failure
        return f"{free / 1e6:,.0f} MB of disk are free, fewer than {least / 1e6:,.0f}; free some"

    @property
    def ready(self) -> bool:
        return not (self.is_stopping() or self.trouble)

    async def start(self) -> None:
        """Resume what an earlier process accepted, and start the workers.

        Raises `ConfigError` if a model cannot be used.
        """
        task = {"do": "describe", "models": self.limits.names}
        answer = await self._ask(INSPECTOR, "the models", task)
        if "failed" in answer:
            raise ConfigError(answer["failed"])
        self.models = answer["models"]
        self.store.recover(1)
        self.spool.keep_only(self.store.jobs())
        lanes = map(self._lane, self.plan.workers)
        self._tasks = [asyncio.create_task(loop) for loop in (self._sweep(), self._watch(), *lanes)]

    async def stop(self) -> None:
        """Give running pictures time to finish; return the others to the queue. End the workers."""
        self.is_stopping, end = lambda: True, time.monotonic() + self.limits.grace_seconds
        while self.running and time.monotonic() < end:
            await self.wait(end - time.monotonic())
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self.pool.close()
        with contextlib.suppress(sqlite3.Error):  # if the disk fails, the next start recovers
            self.store.recover(0)
            self.store.close()

    def check_room(self, size: int) -> None:
        """Raise `Denied` if a request with `size` bytes cannot be taken now."""
        if self.is_stopping():
            raise Denied(503, "the service is stopping; try again later", wait=10)
        waiting, pixels = self.store.queue()
        if waiting >= self.limits.queue:
            seconds = max(1, min(600, round(pixels / self.speed))) if self.speed else 30
            raise Denied(503, f"{waiting} pictures wait already; try again later", wait=seconds)
        free, used = self.spool.free() - size, self._used + size
        if free < self.limits.free_bytes or used > self.limits.disk_bytes:
            raise Denied(507, "the disk is full; delete jobs, or wait until some expire")

    async def accept(self, job: StoredJob, pictures: Sequence[StoredPicture]) -> StoredJob:
        """Inspect the pictures of a new job and put it into the queue.

        Pictures that cannot be enlarged fail; `Denied` is raised if that is true of all. A job
        that the client submitted under the same key before is returned instead.
        """
        pictures = [await self._inspect(job, picture) for picture in pictures]
        if all(picture.state == "failed" for picture in pictures):
            raise Denied(422, *(picture.reason for picture in pictures))
        accepted = await asyncio.to_thread(self.store.add, job, pictures)
        if accepted.fingerprint != job.fingerprint:
            raise Denied(422, "this Idempotency-Key belongs to another request; use a new key")
        self._notify()
        return accepted

    async def cancel(self, job: str, number: int | None = None) -> None:
        """Cancel a picture of a job, or all of its pictures that have not ended."""
        await asyncio.to_thread(self.store.cancel, job, number)
        for (of, at), running in self.running.items():
            if of == job and number in (None, at) and not running.ending:
                running.ending = "cancelled"
                self.pool.kill(running.worker)
        self._notify()

    async def delete(self, job: str) -> None:
        """Cancel a job, and delete its uploads and results."""
        await self.cancel(job)
        while self.is_running(job):
            await self.wait(_PAUSE)
        await asyncio.to_thread(self.store.delete, job)
        await asyncio.to_thread(self.spool.remove, job)
        self._notify()

    async def preview(self, job: StoredJob, picture: StoredPicture) -> None:
        """Make a preview at once, ahead of the queue. Raises `Denied`."""
        worker = PREVIEWER if PREVIEWER in self.plan.workers else self.plan.workers[0]
        async with self._previewing:
            if (self.spool.place(job.id, picture.number) / PREVIEWS[1]).exists():
                return
            answer = await self._ask(worker, picture.name, self._task("preview", job, picture))
        if self.store.job(job.id) is None:
            await asyncio.to_thread(self.spool.remove, job.id)
        if "failed" in answer:
            raise Denied(422, answer["failed"])

    def is_running(self, job: str) -> bool:
        return any(of == job for of, _ in self.running)

    async def wait(self, seconds: float) -> None:
        """Wait for a change of anything, at most this time."""
        with contextlib.suppress(TimeoutError):
            # Not wait_for, which ignores a cancellation at the moment of a change.
            async with asyncio.timeout(seconds):
                await self._changed.wait()

    def _notify(self) -> None:
        event, self._changed = self._changed, asyncio.Event()
        event.set()

    async def _inspect(self, job: StoredJob, picture: StoredPicture) -> StoredPicture:
        answer = await self._ask(INSPECTOR, picture.name, self._task("inspect", job, picture))
        known = picture.model_dump(include={"job", "number", "bytes", "sha256"})
        found = StoredPicture(**{"name": picture.name, **answer, **known})
        found.reason = answer.get("failed", "")
        for what, pixels, most in (
            ("its result would have", answer.get("pixels", 0), self.limits.output_pixels),
            ("it has", found.width * found.height, self.limits.input_pixels),
        ):
            if pixels > most:
                line = f"{what} {pixels / 1e6:.1f} megapixels, and this service takes"
                found.reason = f"{found.name}: {line} {most / 1e6:g}; reduce it"
        found.state = "failed" if found.reason else "queued"
        return found

    async def _ask(self, worker: str, name: str, task: Message) -> Message:
        """The answer to a quick task. If the worker dies, a new one repeats it."""
        for _ in range(_TRIES):
            try:
                return await self.pool.do(worker, task, _QUICK)
            except WorkerDied as error:
                _LOG.warning("%s while it read %s", error, name)
            except TimeoutError:
                return {"failed": f"{name}: cannot be read within {_QUICK:.0f} seconds"}
        return {"failed": f"{name}: cannot be read; save it as PNG in another program"}

    def _task(self, what: str, job: StoredJob, picture: StoredPicture) -> Message:
        """A task for a worker; it gets weights files by their paths."""
        options = {**job.options, "model": self.limits.names[job.options["model"]]}
        folder = str(self.spool.place(job.id, picture.number))
        return {"do": what, "folder": folder, "name": picture.name, "options": options}

    async def _lane(self, worker: str) -> None:
        """Do one picture after another with the worker of this name, whatever becomes of it."""
        await self.pool.start(worker)
        limits = self.limits
        most = limits.small_pixels if worker == EXPRESS else limits.input_pixels
        while worker != PREVIEWER:
            if self.is_stopping() or self.trouble:
                await self.wait(_PAUSE)
            elif picture := await self._keep(self.store.take, most):
                await self._enlarge(worker, picture)
            else:
                await self.wait(_SWEEP)

    async def _enlarge(self, worker: str, picture: StoredPicture) -> None:
        job, seconds = self.store.job(picture.job), self.limits.seconds
        if job is None:
            return
        running = self.running[job.id, picture.number] = Running(worker)

        def report(share: float) -> None:
            running.share = share
            self._measure(share * picture.width * picture.height, running)
            self._notify()

        try:
            task = self._task("enlarge", job, picture)
            answer = await self.pool.do(worker, task, seconds, report)
            await self._record(picture, answer)
        except TimeoutError:
            running.ending = f"took more than {seconds:.0f} seconds; reduce it"
        except WorkerDied as error:
            _LOG.warning("%s at a picture of %s×%s pixels", error, picture.width, picture.height)
            if not running.ending:
                await self._keep(self.store.requeue, picture, 1)
        finally:
            if running.ending:
                line = f"{picture.name}: {running.ending}"
                await self._keep(self.store.finish, picture, "failed", line)
            del self.running[job.id, picture.number]
            self._notify()

    def _measure(self, pixels: float, running: Running) -> None:
        """Update the estimate of speed with the pixels of a picture that are done."""
        before, seconds = self._lately
        self._lately = 0.9 * before + pixels, 0.9 * seconds + time.monotonic() - running.started

    async def _record(self, picture: StoredPicture, answer: Message) -> None:
        """Store what a worker has answered. A picture that met a full disk waits for room."""
        if result := answer.get("result"):
            await self._keep(self.store.finish, picture, "done", answer["remark"], result)
        elif self.trouble:
            await self._keep(self.store.requeue, picture, 0)
        else:
            await self._keep(self.store.finish, picture, "failed", answer.get("failed", ""))

    async def _keep(self, change: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Change the store. While the disk fails, wait and try again: nothing may be lost."""
        while True:
            try:
                done = await asyncio.to_thread(change, *args, **kwargs)
                self._failure = ""
                return done
            except sqlite3.Error as error:
                self._failure = f"the database cannot be written ({error}); check the disk"
                await asyncio.sleep(_PAUSE)

    async def _sweep(self) -> None:
        """Delete what has expired; log when trouble begins and ends."""
        before = ""
        while True:
            with contextlib.suppress(sqlite3.Error):
                await asyncio.to_thread(self.store.tick)
                self._used = await asyncio.to_thread(self.store.used)
                for job in self.store.jobs(self.store.now() - self.limits.keep_seconds):
                    await self.delete(job)
            now = self.trouble
            if bool(now) != bool(before):
                _LOG.error("%s", now or "the queue goes on")
            before = now
            await asyncio.sleep(_SWEEP)

    async def _watch(self) -> None:
        """End the largest worker while all processes together exceed the memory limit."""
        while True:
            own = await asyncio.to_thread(self.pool.memory)
            self.memory = sum(own.values())
            if self.memory > self._max_memory:
                largest = max(own, key=lambda name: own[name] * (name != "server"))
                limit = f"{self._max_memory / 1e9:.2g} GB"
                _LOG.warning("memory above %s; ending the worker %s", limit, largest)
                for running in self.running.values():
                    if running.worker == largest:
                        running.ending = f"needs more than the {limit} of this service; reduce it"
                self.pool.kill(largest)
            await asyncio.sleep(_WATCH)
