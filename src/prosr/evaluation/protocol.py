"""Named protocols: a score without one is noise.

Every picture, gray ones too, is RGB before it is enlarged or scored, enlarged pictures
are rounded to 8 bits, and inputs are made from the truth, cropped to a multiple of the
scale, by `resample.make_input`. A protocol settles the rest.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from prosr.errors import ConfigError, suggestion
from prosr.evaluation.metrics import SSIM_WINDOW, crop_border, psnr, rgb_to_y
from prosr.layouts import Frozen
from prosr.resample import make_input

DATA_RANGE = 255.0
Pixels = NDArray[np.uint8]


class Protocol(Frozen):
    """What is compared, and how much of the border is left out."""

    name: str
    channel: Literal["Y", "RGB"]
    extra_crop: int
    about: str

    def crop(self, scale: int) -> int:
        """Pixels left out on each side of a picture enlarged by `scale`."""
        return scale + self.extra_crop

    def smallest(self, scale: int) -> int:
        """Height and width of the smallest picture of which PSNR and SSIM can be taken."""
        return 2 * self.crop(scale) + SSIM_WINDOW

    def prepare(self, picture: Pixels, scale: int) -> NDArray[Any]:
        """The part of an RGB picture, [H, W, 3], that is compared, in 8-bit units.

        Luminance is [H', W'] and not rounded, RGB is [H', W', 3].
        """
        inner = crop_border(picture, self.crop(scale))
        return rgb_to_y(inner, data_range=DATA_RANGE) if self.channel == "Y" else inner

    def describe(self) -> str:
        """One line for a table's caption."""
        values = {"Y": "luminance (BT.601, 16–235)", "RGB": "all of R, G, B"}[self.channel]
        border = f"s + {self.extra_crop}" if self.extra_crop else "s"
        return f"{self.name} ({self.about}): {values}, {border} pixels cropped at scale s"


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
    """Return the protocol called `name`, or raise `ConfigError` with the nearest name."""
    if name in PROTOCOLS:
        return PROTOCOLS[name]
    raise ConfigError(f"no protocol is called {name!r}{suggestion(name, PROTOCOLS)}")


def consistency(x: Pixels, estimate: Pixels, scale: int) -> float:
    """How well an enlargement explains its input: PSNR in dB of the estimate, reduced, and x.

    x is [H, W, 3], the estimate [sH, sW, 3], reduced as x was from the truth. This is
    the "LR-PSNR" of the literature on stochastic super-resolution: over R, G and B, since
    a wrong colour is as inconsistent as a wrong brightness, and with the border, since
    reducing is defined there. So it is the same number under every protocol.
    """
    return psnr(make_input(estimate, scale), x, data_range=DATA_RANGE)
