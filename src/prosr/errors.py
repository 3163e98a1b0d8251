"""What can go wrong through no fault of ours.

Every message is one line that names the value or file at fault and the remedy, so that
the command line can print it as it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_OUT_OF_MEMORY = re.compile(r"(out of|enough) memory|allocate|bad.?alloc|alloc_failed", re.I)


class ProSRError(Exception):
    """A request that cannot be met: the caller, a file or the machine has to change."""


class ConfigError(ProSRError, ValueError):
    """A recipe, option or argument has a value that is not allowed."""


class CheckpointError(ProSRError):
    """A weights or training-state file cannot be used."""


class ImageError(ProSRError):
    """A picture cannot be read, enlarged or written."""


class DataError(ProSRError):
    """A folder of pictures does not hold what training or evaluation needs."""


class InferenceError(ProSRError):
    """A tile failed while a picture was being enlarged; no result was made."""


def printable(text: str) -> str:
    """The text as it fits in one line: what cannot be printed is escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether a device ran out of memory, as Python and each engine say it."""
    if isinstance(error, InferenceError):
        return error.__cause__ is not None and is_out_of_memory(error.__cause__)
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))


def suggestion(word: str, known: Iterable[str], listed: Sequence[str] = ()) -> str:
    """The end of a message about an unknown `word`: the nearest known one, or those `listed`.

    Those that go on from `word` are the nearest, as "edsr-x4" to "edsr". All that are known
    are listed unless it says otherwise.
    """
    names = list(known)
    family = [name for name in names if name.startswith(f"{word}-")]
    if near := family or difflib.get_close_matches(word, names, n=1):
        return f"; did you mean {' or '.join(map(repr, near))}?"
    return f"; known: {', '.join(listed or names)}"
