"""A stand-in for `prosr.lab.isolated.Isolated`, because a new process takes seconds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from prosr.evaluation.timing import Subject


class InThisProcess:
    """A subject in this process; one at a time."""

    alive: ClassVar[list[object]] = []

    def __init__(self, make: Callable[[Any], Subject], argument: Any) -> None:
        self._make, self._argument = make, argument

    def __enter__(self) -> Subject:
        self.alive.append(self)
        assert len(self.alive) == 1
        return self._make(self._argument)

    def __exit__(self, *raised: object) -> None:
        self.alive.remove(self)
