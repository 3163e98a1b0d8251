"""Worker processes: start them, give them tasks, replace the dead."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import Callable
from typing import Any

import psutil

from prosr.serve.settings import EXPRESS, PREVIEWER, Plan

Message = dict[str, Any]
Report = Callable[[float], None]

INSPECTOR = "inspector"

# Priorities: the server answers while its workers compute, and people wait for previews.
_NICE = {INSPECTOR: "0", PREVIEWER: "0", EXPRESS: "2", "general": "5"}


class WorkerDied(Exception):
    """A worker process ended during a task."""


class Pool:
    """The worker processes by name: an inspector of uploads, and those of the plan.

    A process starts when it is asked for, and again after its death. All but the inspector then
    load `model`, the one that most tasks are for. Messages are JSON, which
    executes nothing, so a worker that a picture took over can only lie about its pictures.
    """

    def __init__(self, plan: Plan, model: str) -> None:
        self._plan, self._model = plan, model
        self._processes: dict[str, Process] = {}
        self._busy = {name: asyncio.Lock() for name in (INSPECTOR, *plan.workers)}

    async def do(
        self, name: str, task: Message, seconds: float, report: Report = lambda share: None
    ) -> Message:
        """Have a worker do a task after all earlier ones, and return its answer.

        `report` is called with the share that is done. Raises `WorkerDied`, and `TimeoutError`
        after `seconds`; then the process is dead as well.
        """
        async with self._busy[name]:
            try:
                async with asyncio.timeout(seconds):
                    return await self._ask(name, task, report)
            # Also when this is cancelled: the answer would be taken for that of the next task.
            except BaseException:
                await self._end(name)
                raise

    async def start(self, name: str) -> Process:
        """Start a process unless it runs; do not wait until it can work."""
        if name not in self._processes:
            threads, model = str(self._plan.threads), "" if name == INSPECTOR else self._model
            environment = {k: v for k, v in os.environ.items() if k != "PROSR_TOKEN"}
            environment |= {"OMP_NUM_THREADS": threads, "VIPS_CONCURRENCY": threads}
            nice = _NICE[name.partition("-")[0]]
            words = str(self._plan.memory), nice, model
            program = sys.executable, "-m", "prosr.serve.worker", *words
            # A session of its own: the signals of a terminal go to the server only.
            options: Any = {"env": environment, "start_new_session": True}
            create = asyncio.create_subprocess_exec
            self._processes[name] = await create(*program, stdin=PIPE, stdout=PIPE, **options)
        return self._processes[name]

    def kill(self, name: str) -> None:
        """Kill a process; whoever waits for its answer notices."""
        with contextlib.suppress(KeyError, ProcessLookupError):
            self._processes[name].kill()

    def memory(self) -> dict[str, int]:
        """Resident bytes of each process and of the server; shared libraries count in parts."""
        processes = {name: process.pid for name, process in self._processes.items()}
        measured = {}
        for name, process in {"server": os.getpid(), **processes}.items():
            with contextlib.suppress(psutil.Error):
                memory = psutil.Process(process).memory_full_info()
                measured[name] = getattr(memory, "pss", memory.rss)
        return measured

    async def close(self) -> None:
        for name in list(self._processes):
            await self._end(name)

    async def _end(self, name: str) -> None:
        self.kill(name)
        if process := self._processes.pop(name, None):
            await process.wait()

    async def _ask(self, name: str, task: Message, report: Report) -> Message:
        process = await self.start(name)
        assert process.stdin is not None and process.stdout is not None, "they are pipes"
        with contextlib.suppress(ConnectionError):
            process.stdin.write(json.dumps(task, allow_nan=False).encode() + b"\n")
            await process.stdin.drain()
        while True:
            try:
                answer = json.loads(await process.stdout.readline())
                if "share" not in answer:
                    return dict(answer)
                report(float(answer["share"]))
            # It has ended, or its line is too long or not JSON: such a worker is not to be trusted.
            except (ValueError, TypeError, ConnectionError):
                raise WorkerDied("a worker process ended") from None
