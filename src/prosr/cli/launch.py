"""Several training processes on one machine, started and supervised by this one."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from math import inf
from pathlib import Path

import typer

from prosr.cli.console import stop_on_signals
from prosr.cli.signals import heard
from prosr.errors import ProSRError

_PARENT = os.getppid()

_GRACE = 30.0
"""Seconds in which the other processes may end by themselves once one has failed."""


def is_first_process() -> bool:
    """Whether this process is the only one or the one that logs, scores and saves."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return int(next((rank for rank in ranks if rank is not None), "0")) == 0


def is_orphaned() -> bool:
    """Whether the launcher that started this process has ended and can no longer stop it."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != _PARENT


def run_processes(count: int, nodes: int) -> None:
    """Run this command in `count` processes until all have ended.

    Returns at once if one process is enough or a launcher has started this one. A signal is
    passed on to all processes: each saves and stops, or dies if it has not begun to train. If
    one fails, the others are stopped. Raises `typer.Exit` with 128 + the signal's number, with
    the exit code of the process that failed first, or with 0; and `ProSRError` if a process
    was killed.
    """
    if {"LOCAL_RANK", "RANK", "SLURM_PROCID"} & os.environ.keys():
        # There is nothing to save before the training begins, and Python runs no handler while
        # PyTorch waits for the other processes.
        for number in heard():
            signal.signal(number, signal.SIG_DFL)
        return
    if count == 1 or nodes > 1:
        return
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
    # As torchrun sets them.
    shared = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, "TORCHELASTIC_RUN_ID": "prosr"}
    shared |= dict.fromkeys(("WORLD_SIZE", "LOCAL_WORLD_SIZE"), str(count))
    processes: list[subprocess.Popen[bytes]] = []
    with tempfile.TemporaryDirectory() as folder, stop_on_signals() as interrupted:
        try:
            for rank in map(str, range(count)):
                with Path(folder, rank).open("wb") as stderr:
                    process = subprocess.Popen(
                        [sys.executable, "-m", "prosr", *sys.argv[1:]],
                        env=os.environ | shared | {"RANK": rank, "LOCAL_RANK": rank},
                        stderr=stderr,
                        # Ctrl-C at the terminal reaches it through this process only.
                        start_new_session=True,
                    )
                processes.append(process)
            failed = _supervise(processes, interrupted)
        finally:
            for process in processes:
                process.kill()
                process.wait()
        if failed is None:
            raise typer.Exit(128 + interrupted() if interrupted() else 0)
        code = processes[failed].returncode
        if code < 0:
            raise ProSRError(
                f"training process {failed + 1} of {count} was killed "
                f"({signal.Signals(-code).name}), by the system if memory ran out; the last "
                "save is complete: run the same command to resume"
            )
        said = Path(folder, str(failed)).read_text("utf-8", "replace")
        typer.echo(said, err=True, nl=False)
        raise typer.Exit(code)


def _supervise(
    processes: Sequence[subprocess.Popen[bytes]], interrupted: Callable[[], int]
) -> int | None:
    """Wait until all processes have ended, and return the one that failed first, if any.

    Passes a signal on. After a failure it stops the others, and returns after `_GRACE` seconds
    at the latest.
    """
    ended: list[int] = []
    told, deadline = False, inf
    while time.monotonic() < deadline:
        codes = [process.poll() for process in processes]
        new = [rank for rank, code in enumerate(codes) if code and rank not in ended]
        # A killed process explains the errors of the others.
        ended += sorted(new, key=lambda rank: codes[rank] or 0)
        if None not in codes:
            break
        if ended:
            deadline = min(deadline, time.monotonic() + _GRACE)
        if not told and (number := interrupted() or (signal.SIGTERM if ended else 0)):
            told = True
            for process in processes:
                process.send_signal(number)
        time.sleep(0.05)
    stop = interrupted()
    # A process that dies of the signal leaves errors in those that train with it.
    if stop and any(processes[rank].returncode == -stop for rank in ended):
        return None
    return next((rank for rank in ended if processes[rank].returncode != 128 + stop), None)
