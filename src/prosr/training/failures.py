"""Failures from outside a run, in one line each instead of a library's traceback."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from prosr.errors import DataError, ImageError, ProSRError

RESUME = "the last save is complete: run the same command to resume"

_WORKER_KILLED = (
    "a process that prepares batches was killed, most likely because memory ran out; "
    f"{RESUME}, with fewer --workers if it happens again"
)
_CONNECTION = re.compile(r"gloo|nccl|connection (closed|reset|refused)", re.IGNORECASE)


@contextmanager
def named_failures(processes: int) -> Iterator[None]:
    """Name the process that failed and the remedy.

    Raises `DataError` if a process that prepares batches was killed or has read a bad file,
    and `ProSRError` if another of the `processes` that train has ended.
    """
    try:
        yield
    except (DataError, ImageError) as error:
        # An error of a data worker contains its traceback; the last line is the message.
        *traceback, line = str(error).strip().splitlines()
        raise type(error)(line.partition("Error: ")[2] if traceback else line) from error
    except (ConnectionError, EOFError) as error:
        # The worker was killed while it sent a batch.
        raise DataError(_WORKER_KILLED) from error
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise DataError(_WORKER_KILLED) from error
        if processes > 1 and _CONNECTION.search(str(error)):
            raise ProSRError(f"another training process has ended; {RESUME}") from error
        raise
