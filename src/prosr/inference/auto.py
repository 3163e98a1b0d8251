"""`auto`: an upscaler that takes the network that suits each picture."""

from __future__ import annotations

import os
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from prosr.inference.choosing import CLEAN, ROBUST, choose
from prosr.inference.loading import load as load_network
from prosr.inference.upscaler import Progress, Upscaler, Work
from prosr.models import bundled_models
from prosr.sizes import Request


def load(
    name_or_path: str | Path = "auto",
    *,
    max_memory: int | None = None,
    engine: str = "auto",
    ensemble: bool = False,
    strength: float = 1.0,
) -> Upscaler:
    """An upscaler with a bundled model ("prosr-xs", "bicubic"), a weights file, or "auto".

    "auto" takes for each picture the network that suits it, see `prosr.inference.choosing`. Of a
    package with only one of the two networks it takes that one. The rest is as in
    `prosr.inference.loading.load`.
    """
    options = partial(load_network, max_memory=max_memory, engine=engine, ensemble=ensemble)
    open_network = partial(options, strength=strength)
    if name_or_path != "auto":
        return open_network(name_or_path)
    bundled = bundled_models()
    return Choosing(open_network) if ROBUST in bundled else open_network(CLEAN)


@dataclass
class ChosenWork(Work):
    """The work of several networks, and how often each was chosen for which reason."""

    chosen: Counter[tuple[str, str]] = field(default_factory=Counter)

    def __str__(self) -> str:
        lines = [f"{model} for {n} ({why})" for (model, why), n in self.chosen.most_common(6)]
        return "\n".join([*lines, super().__str__()])


class Choosing(Upscaler):
    """An upscaler whose network suits each picture: `choose` says which, and why.

    `open_network` returns the upscaler of a network by its name. The one for degraded pictures is
    opened at once, the other when it is first needed. `work` counts the choices.
    """

    work: ChosenWork

    def __init__(self, open_network: Callable[[str], Upscaler]) -> None:
        first = open_network(ROBUST)
        # Scales, memory and work are those of the first.
        vars(self).update(vars(first), name="auto", sha256="")
        self._open, self._opened = open_network, {ROBUST: first}
        self.work = first.work = ChosenWork(self._engine)

    def suited(self, image: object) -> Upscaler:
        """The upscaler for a picture or clip."""
        model, reason = choose(image)
        self.work.chosen[model, reason] += 1
        if model not in self._opened:
            self._opened[model] = self._open(model)
            self._opened[model].work = self.work
        return self._opened[model]

    def upscale(
        self,
        image: Any,
        scale: Request | float | None = None,
        *,
        size: Request | tuple[int, int] | None = None,
        output: str | os.PathLike[str] | None = None,
        overwrite: bool = False,
        progress: Progress | None = None,
        note: Callable[[str], object] = warnings.warn,
    ) -> Any:
        """As `Upscaler.upscale`, with the network that suits the image."""
        one: Any = self.suited(image)
        files = {"output": output, "overwrite": overwrite} if output or overwrite else {}
        return one.upscale(image, scale, size=size, progress=progress, note=note, **files)


def suited(upscaler: Upscaler, image: object) -> Upscaler:
    """The upscaler for an image: the given one, unless it chooses."""
    return upscaler.suited(image) if isinstance(upscaler, Choosing) else upscaler
