"""What a score came from: the machine and the exact code."""

from __future__ import annotations

import os
import platform
import subprocess
from functools import lru_cache
from pathlib import Path

import torch

from prosr.layouts import Frozen

_PACKAGE = Path(__file__).resolve().parents[1]


class Machine(Frozen):
    """Where seconds were measured; `cores` are those the process may use.

    `cpu` is the processor's name, which virtual machines of several generations share, and
    "(AMX)" where it has the instructions that make bfloat16 many times faster.
    """

    cpu: str
    cores: int
    threads: int
    torch: str


def machine() -> Machine:
    """The machine as PyTorch uses it now."""
    affinity = getattr(os, "sched_getaffinity", None)  # missing on macOS and Windows
    cores = len(affinity(0)) if affinity else os.cpu_count() or 1
    return Machine(
        cpu=_cpu(), cores=cores, threads=torch.get_num_threads(), torch=str(torch.__version__)
    )


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The commit that this package is checked out from, or None outside a checkout.

    Ends in "+changes" when files of the package differ from it. A package installed
    somewhere inside another project's checkout is not tracked there, hence None.
    """
    if _git("ls-files", "--error-unmatch", "errors.py") is None:
        return None
    head = _git("rev-parse", "HEAD")
    return head and head + ("+changes" if _git("status", "--porcelain", ".") else "")


def _git(*arguments: str) -> str | None:
    command = ["git", "-C", str(_PACKAGE), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@lru_cache(maxsize=1)
def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    facts = {key.strip(): fact.strip() for key, _, fact in (line.partition(":") for line in lines)}
    name = facts.get("model name") or platform.processor() or platform.machine()
    return f"{name} (AMX)" if "amx_bf16" in facts.get("flags", "").split() else name
