"""What ends a run from outside, told in a line of ours instead of a library's."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

from prosr.errors import DataError, ImageError, ProSRError

_GOES_ON = "what was saved is whole: run the same command to go on"
_WORKER_ENDED = (
    "a process that prepares batches was ended, most likely for lack of memory; "
    f"{_GOES_ON}, with fewer --workers if it happens again"
)
_CONNECTION = re.compile(r"gloo|nccl|connection (closed|reset|refused)", re.IGNORECASE)


class LostError(ProSRError):
    """Another process of this run has ended; nothing is wrong with this one."""


@contextmanager
def named_failures(processes: int) -> Iterator[None]:
    """Name the process that failed and the remedy.

    Raises `DataError` if one that prepares batches was ended or has met a bad file, and
    `LostError` if one of the `processes` that train has gone.
    """
    try:
        yield
    except (DataError, ImageError) as error:
        # A data worker's error arrives with its traceback; the last line is what it said.
        *traceback, line = str(error).strip().splitlines()
        raise type(error)(line.partition("Error: ")[2] if traceback else line) from error
    except (ConnectionError, EOFError) as error:
        # A batch was on its way from a worker that is gone.
        raise DataError(_WORKER_ENDED) from error
    except RuntimeError as error:
        if "DataLoader worker" in str(error):
            raise DataError(_WORKER_ENDED) from error
        if processes > 1 and _CONNECTION.search(str(error)):
            raise LostError(f"another training process has gone; {_GOES_ON}") from error
        raise
