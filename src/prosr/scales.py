"""The scales that networks have."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from prosr.errors import ConfigError

Scale = Literal[2, 4, 8]
SCALES: tuple[Scale, ...] = (2, 4, 8)


def check_scale(scale: int) -> Scale:
    """Return `scale`, or raise `ConfigError` unless it is 2, 4 or 8."""
    for known in SCALES:
        if scale == known:
            return known
    raise ConfigError(f"scale {scale} is not one of {', '.join(map(str, SCALES))}")


def choose_scales(model: str, own: Sequence[int], asked: Iterable[int]) -> tuple[int, ...]:
    """Return the `asked` scales without repeats, or all scales of the model if none is asked.

    `own` are the scales of the model. Raises `ConfigError` for a scale that is not among them.
    """
    wanted = tuple(dict.fromkeys(asked))
    for scale in wanted:
        if scale not in own:
            raise ConfigError(
                f"{model} does not enlarge by {scale}, only by {', '.join(map(str, own))}"
            )
    return wanted or tuple(own)
