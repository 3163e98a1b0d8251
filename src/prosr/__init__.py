"""ProSR: enlarge photographs 2, 4 and 8 times, and train the networks that do it.

import prosr
prosr.load().upscale("photo.jpg", scale=4)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from prosr.version import __version__

__all__ = ["ProSR", "ProSRError", "Upscaler", "__version__", "load", "psnr", "ssim"]

if TYPE_CHECKING:
    from prosr.errors import ProSRError
    from prosr.evaluation.metrics import psnr, ssim
    from prosr.inference.auto import load
    from prosr.inference.upscaler import Upscaler
    from prosr.nets.generator import ProSR

_HOMES = {
    "ProSR": "prosr.nets.generator",
    "ProSRError": "prosr.errors",
    "Upscaler": "prosr.inference.upscaler",
    "load": "prosr.inference.auto",
    "psnr": "prosr.evaluation.metrics",
    "ssim": "prosr.evaluation.metrics",
}


def __getattr__(name: str) -> Any:
    """Import a public name on first use, so that `import prosr` alone is instant."""
    if name not in _HOMES:
        raise AttributeError(f"module 'prosr' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
