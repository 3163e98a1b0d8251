"""Several training processes on one machine, started and supervised by torchrun's API."""

from __future__ import annotations

import logging
import os
import sys
import tempfile
from pathlib import Path

import typer

from prosr.cli.signals import heard, notice_hangup, signals_wait
from prosr.errors import ProSRError

_PARENT = os.getppid()


def is_first_process() -> bool:
    """Whether this process is the only one or the one that logs, scores and saves."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return int(next((rank for rank in ranks if rank is not None), "0")) == 0


def is_orphaned() -> bool:
    """Whether the torchrun that started this process has ended and can no longer stop it."""
    return "TORCHELASTIC_RUN_ID" in os.environ and os.getppid() != _PARENT


def run_processes(count: int, nodes: int) -> None:
    """Run this command in `count` processes until all have ended.

    Returns at once if one process is enough or a launcher has started this one. A signal is
    passed on to all processes, and each saves and stops. If one fails, the others are stopped.
    Raises `typer.Exit` with 128 + the signal's number, with the exit code of the process that
    failed first, or with 0; and `ProSRError` if a process was killed.
    """
    if count == 1 or nodes > 1 or {"LOCAL_RANK", "RANK", "SLURM_PROCID"} & os.environ.keys():
        return
    with signals_wait():
        from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException, Std
        from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
        from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    # torchrun logs what the lines below say, and every process prints the same errors.
    logging.disable(logging.ERROR)
    # Seconds in which stopped processes may finish their step and save; the default is 30.
    os.environ.setdefault("TORCH_ELASTIC_SHUTDOWN_TIMEOUT", "3600")
    with tempfile.TemporaryDirectory() as folder:
        config = LaunchConfig(
            min_nodes=1,
            max_nodes=1,
            nproc_per_node=count,
            run_id="prosr",
            rdzv_backend="c10d",
            rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1",
            max_restarts=0,
            logs_specs=DefaultLogsSpecs(folder, redirects=Std.ERR),
        )
        # An attribute, because older releases of PyTorch do not have the argument.
        config.signals_to_handle = ",".join(number.name for number in heard())
        rank, code = 0, 0
        try:
            elastic_launch(config, sys.executable)("-m", "prosr", *sys.argv[1:])
        except SignalException as stop:
            notice_hangup(stop.sigval)
            raise typer.Exit(128 + stop.sigval) from None
        except ChildFailedError as error:
            rank, failure = error.get_first_failure()
            if failure.exitcode < 0:
                raise ProSRError(
                    f"training process {rank + 1} of {count} was killed ({failure.signal_name()}), "
                    "by the system if memory ran out; the last save is complete: run the same "
                    "command to resume"
                ) from None
            code = failure.exitcode
        (said,) = Path(folder).glob(f"*/attempt_0/{rank}/stderr.log")
        typer.echo(said.read_text(encoding="utf-8", errors="replace"), err=True, nl=False)
    raise typer.Exit(code)
