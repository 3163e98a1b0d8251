"""Protocols: the rules under which scores are comparable.

Under every protocol pictures are RGB before they are scored, gray ones too, and enlarged
pictures are rounded to 8 bits. Low-resolution inputs are made by `resample.make_input` from the
ground truth, cropped to a multiple of the scale. A protocol defines the rest.
"""

from __future__ import annotations

from typing import Any, Literal

from numpy.typing import NDArray

from prosr.data.decoded import Pixels
from prosr.data.degradations import check_degradation
from prosr.errors import ConfigError, suggestion
from prosr.evaluation.metrics import SSIM_WINDOW, crop_border, psnr, rgb_to_y
from prosr.layouts import Frozen
from prosr.resample import make_input

DATA_RANGE = 255.0

MOST_PSNR = 100.0
"""PSNR in dB of an estimate that equals its ground truth, so that means are finite."""


class Protocol(Frozen):
    """The channels that are compared, and the pixels cropped beyond the scale on each side."""

    name: str
    channel: Literal["Y", "RGB"]
    extra_crop: int
    about: str
    degradation: str = "none"

    def crop(self, scale: int) -> int:
        """Pixels cropped on each side at `scale`."""
        return scale + self.extra_crop

    def smallest(self, scale: int) -> int:
        """Least height and width of a picture that PSNR and SSIM can score at `scale`."""
        return 2 * self.crop(scale) + SSIM_WINDOW

    def prepare(self, picture: Pixels, scale: int) -> NDArray[Any]:
        """The part of an RGB picture, [H, W, 3], that is compared, in 8-bit units.

        [H', W'] luminance, not rounded, or [H', W', 3] RGB.
        """
        inner = crop_border(picture, self.crop(scale))
        return rgb_to_y(inner, data_range=DATA_RANGE) if self.channel == "Y" else inner

    def describe(self) -> str:
        """One line for a table's caption."""
        values = {"Y": "luminance (BT.601, 16–235)", "RGB": "all of R, G, B"}[self.channel]
        border = f"s + {self.extra_crop}" if self.extra_crop else "s"
        inputs = "" if self.degradation == "none" else f"; inputs degraded by {self.degradation}"
        return f"{self.name} ({self.about}): {values}, {border} pixels cropped at scale s{inputs}"


# fmt: off
PROTOCOLS: dict[str, Protocol] = {
    protocol.name: protocol
    for protocol in (
        Protocol(name="paper",    channel="Y",   extra_crop=0, about="as papers publish"),
        Protocol(name="released", channel="Y",   extra_crop=6, about="as the released code prints"),
        Protocol(name="ntire",    channel="RGB", extra_crop=6, about="as NTIRE challenges rank"),
    )
}
# fmt: on


def find_protocol(name: str) -> Protocol:
    """The protocol "paper", or "paper+jpeg-75" on degraded inputs; `ConfigError` if unknown."""
    base, *degradations = name.split("+")
    if base not in PROTOCOLS:
        raise ConfigError(f"no protocol is called {base!r}{suggestion(base, PROTOCOLS)}")
    named = [check_degradation(one) for one in degradations if one != "none"]
    if len(named) > 1:
        raise ConfigError(f"{name} has two degradations; name one, in --protocol or --degradation")
    changes = {"name": f"{base}+{named[0]}", "degradation": named[0]} if named else {}
    return PROTOCOLS[base].model_copy(update=changes)


def bounded_psnr(a: NDArray[Any], b: NDArray[Any]) -> float:
    """PSNR in dB of prepared pictures, at most `MOST_PSNR`."""
    return min(psnr(a, b, data_range=DATA_RANGE), MOST_PSNR)


def consistency(x: Pixels, estimate: Pixels, scale: int) -> float:
    """PSNR in dB between the input x and the estimate, downscaled as x was.

    x is [H, W, 3], the estimate [sH, sW, 3]. The literature on stochastic super-resolution
    calls this LR-PSNR. It compares R, G and B and includes the border, so that it is the same
    under every protocol.
    """
    return bounded_psnr(make_input(estimate, scale), x)
