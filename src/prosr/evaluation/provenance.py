"""Where a score comes from: the machine and the exact code."""

from __future__ import annotations

import platform
import subprocess
import sys
from functools import lru_cache
from pathlib import Path

from prosr.inference.memory import core_count
from prosr.layouts import Frozen

_PACKAGE = Path(__file__).resolve().parents[1]


class Machine(Frozen):
    """The machine of a measurement.

    `cpu` is the processor's name, followed by "(AMX)" if it has these instructions: virtual
    machines of several generations share a name. `cores` are those that the process may use,
    `threads` those of PyTorch, or as many as cores if PyTorch is not loaded. `torch` is the
    version of PyTorch, None if it is not loaded.
    """

    cpu: str
    cores: int
    threads: int
    torch: str | None


def machine() -> Machine:
    """The machine that this process runs on."""
    cores, torch = core_count(), sys.modules.get("torch")
    return Machine(
        cpu=_cpu(),
        cores=cores,
        threads=torch.get_num_threads() if torch else cores,
        torch=str(torch.__version__) if torch else None,
    )


@lru_cache(maxsize=1)
def commit() -> str | None:
    """The commit that this package is checked out from, or None outside a checkout.

    It ends in "+changes" if files of the package differ from the commit. A package that is
    installed inside another project's checkout is not tracked there, which gives None.
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
