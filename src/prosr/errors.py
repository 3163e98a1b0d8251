"""Errors that are not bugs of prosr.

Each message is one line that names the value or file at fault, and the remedy. The command
line prints it unchanged.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

_OUT_OF_MEMORY = re.compile(r"(out of|enough) memory|allocate|bad.?alloc|alloc_failed", re.I)


class ProSRError(Exception):
    """A request that cannot be fulfilled with these files on this machine."""


class ConfigError(ProSRError, ValueError):
    """A recipe, option or argument has a value that is not allowed."""


class CheckpointError(ProSRError):
    """A file of weights or of a training's state cannot be used."""


class ImageError(ProSRError):
    """A picture or clip cannot be read, enlarged or written."""


class DataError(ProSRError):
    """A folder of pictures lacks what training or evaluation needs."""


class InferenceError(ProSRError):
    """A network failed on a tile. No result was written."""


def printable(text: str) -> str:
    """The text in one line, with characters that cannot be printed escaped."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in text)


def is_out_of_memory(error: BaseException) -> bool:
    """Whether this is how Python or one of the engines reports a lack of memory."""
    if isinstance(error, InferenceError):
        return error.__cause__ is not None and is_out_of_memory(error.__cause__)
    return isinstance(error, MemoryError) or bool(_OUT_OF_MEMORY.search(str(error)))


def suggestion(word: str, known: Iterable[str], listed: Sequence[str] = ()) -> str:
    """The end of a message about an unknown word, such as "; did you mean 'edsr-x4'?".

    Suggests the known words that continue `word` after a hyphen, or else the most similar one.
    If there is none, lists the words in `listed`, by default all known ones.
    """
    names = list(known)
    family = [name for name in names if name.startswith(f"{word}-")]
    if near := family or difflib.get_close_matches(word, names, n=1):
        return f"; did you mean {' or '.join(map(repr, near))}?"
    return f"; known: {', '.join(listed or names)}"
