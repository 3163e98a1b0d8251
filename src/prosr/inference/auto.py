"""`auto`: an upscaler that takes the network that suits each picture."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

from prosr.errors import ConfigError
from prosr.inference.choosing import CLEAN, ROBUST, choose
from prosr.inference.loading import load as load_network
from prosr.inference.upscaler import Upscaler
from prosr.models import bundled_models


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
    open_network = partial(load_network, max_memory=max_memory, engine=engine, ensemble=ensemble)
    if name_or_path != "auto":
        return open_network(name_or_path, strength=strength)
    if strength != 1:
        raise ConfigError("auto takes no strength; name progansr-xs or progansr-xs-real")
    bundled = bundled_models()
    return Choosing(open_network) if ROBUST in bundled else open_network(CLEAN)


class Choosing(Upscaler):
    """An upscaler whose network suits each picture: `choose` says which, and why.

    `open_network` returns the upscaler of a network by its name. The one for degraded pictures is
    opened at once, the other when it is first needed.
    """

    def __init__(self, open_network: Callable[[str], Upscaler]) -> None:
        first = open_network(ROBUST)
        super().__init__(first.engine, "auto", "")
        self._open, self._opened = open_network, {ROBUST: first}
        first.work = self.work

    def suited(self, image: object) -> tuple[Upscaler, str]:
        model, reason = choose(image)
        if model not in self._opened:
            self._opened[model] = self._open(model)
            self._opened[model].work = self.work
        return self._opened[model], f"{model}, {reason}"
