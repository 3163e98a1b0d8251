"""Several training processes on one machine, watched by one that does not train.

If one of them is ended, the others wait for it in vain, whatever library connects them:
somebody else has to see it, say so and end them.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from types import FrameType
from typing import IO, Any

import typer

from prosr.cli.signals import heard, notice_hangup
from prosr.errors import ProSRError

LOST = 3
"""Exit code of a process that has lost another, which the watcher has something to say of."""

_GRACE = 10.0
"""Seconds in which the others may find out by themselves, and save what they do."""

_MARK = "PROSR_WATCHED_BY"


class EndedError(ProSRError):
    """One of several training processes was ended from outside."""


def is_watched() -> bool:
    """Whether this process was started by `run_processes`."""
    return _MARK in os.environ


def is_orphaned() -> bool:
    """Whether the process that has started this one is gone; nobody can stop it then."""
    return is_watched() and os.environ[_MARK] != str(os.getppid())


def needs_processes(devices: int, nodes: int) -> bool:
    """Whether this process has to start the others: nobody else has, on one machine."""
    started = {"LOCAL_RANK", "RANK", "SLURM_PROCID"} & os.environ.keys()
    return devices > 1 and nodes == 1 and not started


def run_processes(count: int) -> None:
    """Run this command in `count` processes until all have ended.

    Ctrl-C, SIGTERM and SIGHUP reach all of them. Raises `EndedError` if one was ended by a signal,
    else `typer.Exit` with their exit code. What the others than the first write to
    standard error is shown only if the first has nothing to say.
    """
    with tempfile.TemporaryFile("w+") as unheard:
        processes = _start(count, unheard)
        handlers = _pass_on_signals(processes)
        try:
            codes = _wait(processes)
        finally:
            for number, handler in handlers.items():
                signal.signal(number, handler)
        ended = [(rank, -code) for rank, code in enumerate(codes) if code < 0]
        failed = [code for code in codes if code > 0 and code != LOST]
        if codes[0] in (0, LOST) and failed:
            unheard.seek(0)
            typer.echo(unheard.read(), err=True, nl=False)
    if ended and not failed:
        rank, number = ended[0]
        raise EndedError(
            f"training process {rank + 1} of {count} was ended ({signal.Signals(number).name}), "
            "by the system if memory was short; what was saved is whole: run the same "
            "command to go on"
        )
    raise typer.Exit(max(failed, default=0))


def _start(count: int, unheard: IO[str]) -> list[subprocess.Popen[bytes]]:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "NODE_RANK": "0"}
    shared |= {"WORLD_SIZE": str(count), _MARK: str(os.getpid())}
    command = [sys.executable, "-m", "prosr", *sys.argv[1:]]
    return [
        subprocess.Popen(
            command,
            env=os.environ | shared | {"LOCAL_RANK": str(rank)},
            stderr=unheard if rank > 0 else None,
        )
        for rank in range(count)
    ]


def _pass_on_signals(processes: list[subprocess.Popen[bytes]]) -> dict[int, Any]:
    def pass_on(number: int, frame: FrameType | None) -> None:
        notice_hangup(number)
        # The terminal sends Ctrl-C to all processes in front.
        for process in processes if number != signal.SIGINT else ():
            process.send_signal(number)

    return {number: signal.signal(number, pass_on) for number in heard()}


def _wait(processes: list[subprocess.Popen[bytes]]) -> list[int]:
    """Exit codes of all; once one has failed, the others have some seconds left.

    A process that is ended here counts as one that has lost another.
    """
    deadline = float("inf")
    late: set[int] = set()
    while any(process.poll() is None for process in processes):
        if deadline == float("inf") and any(process.returncode for process in processes):
            deadline = time.monotonic() + _GRACE
        if time.monotonic() > deadline:
            late = {i for i, process in enumerate(processes) if process.poll() is None}
            for index in late:
                processes[index].kill()
                processes[index].wait()
        time.sleep(0.1)
    return [LOST if i in late else process.wait() for i, process in enumerate(processes)]
