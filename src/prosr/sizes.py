"""What people ask of a result, and the route by which a picture gets the size.

A network enlarges by its scale, once or twice; the bicubic then reduces the result. Sizes of
pictures are (height, width), those that people write width×height.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import product
from typing import Any

from prosr.errors import ConfigError, printable
from prosr.images.encoding import Encoding

_MOST, _SIDE = 16, 1_000_000
"""The largest factor, that of two passes, and the largest side or number of megapixels."""

_INCHES = {"in": Fraction(1), "cm": Fraction(50, 127), "mm": Fraction(5, 127)}

_BOX = re.compile(r"([^x×,]+)[x×,]([^x×,a-z]+)(cm|mm|in)?", re.IGNORECASE)
_LABELS = {"scale": "x", "long-side": "long", "megapixels": "mp"}
_LABELS |= {name: name for name in ("width", "height", "fit", "fill", "print")}

LABEL = r"(?:x|width|height|long|mp|fit|fill|print)[0-9][0-9.x]*(?:(?:cm|mm|in)[0-9]+)?"
"""A pattern for `Request.label`."""


@dataclass(frozen=True)
class Request:
    """What a result shall be; `choose` creates it.

    `amount` is a factor, megapixels, or width and height of a box in pixels, 0 for any. `kind` is
    "scale", "megapixels", or what the result does to the box: "fit", "fill", "print" (fit, also if
    turned). `label` names the size in file names. The result states `dpi`. With `keep_larger`,
    larger pictures keep their size.
    """

    kind: str
    amount: tuple[Fraction, ...]
    label: str
    dpi: int | None = None
    keep_larger: bool = False
    settings: Encoding = ()

    @property
    def mark(self) -> str:
        settings = "".join(f"+{name[0]}{value}" for name, value in self.settings).replace(":", "")
        return self.label + "+keep" * self.keep_larger + settings

    def turned(self) -> Request:
        """The same request for a picture that is stored turned by 90 degrees."""
        return replace(self, amount=self.amount[::-1])

    def route(self, source: tuple[int, int], scales: Sequence[int], *, direct: bool) -> Route:
        """The route of a picture of size `source` with a network of these `scales`.

        With `direct`, the bicubic enlarges by other factors. Raises `ConfigError` above 16 times.
        """
        size = cover = self._cover(*source)
        if self.kind == "fill":
            size = int(self.amount[1]), int(self.amount[0])
        if self.keep_larger and source[0] >= size[0] and source[1] >= size[1]:
            cover = size = source
        ratio = max(Fraction(cover[0], source[0]), Fraction(cover[1], source[1]))
        # One pass rather than two, then few pixels, then equal passes: these score best.
        chains = [(), *product(scales), *product(scales, repeat=2)]
        chains.sort(key=lambda chain: (len(chain), math.prod(chain), max(chain, default=0)))
        most = min(_MOST, math.prod(chains[-1]))
        if ratio > most:
            raise ConfigError(
                f"{shown(source)} to {shown(cover)} pixels is {float(ratio):.4g} times; ask for at "
                f"most {most} times, {shown((most * source[0], most * source[1]))}"
            )
        passes = next(chain for chain in chains if math.prod(chain) >= ratio)
        passes = () if direct and math.prod(passes) > ratio else passes
        return Route(source, passes, cover, size, ratio)

    def _cover(self, height: int, width: int) -> tuple[int, int]:
        """The new size of the whole picture, which "fill" crops."""
        across, down = self.amount[0], self.amount[-1]
        if self.kind == "megapixels":
            area = 1_000_000 * across
            sides = area * height / width, area * width / height
            return max(1, math.isqrt(int(sides[0]))), max(1, math.isqrt(int(sides[1])))
        if self.kind == "print" and (across > down) != (width > height):
            across, down = down, across
        factors = [box / side for box, side in ((across, width), (down, height)) if box]
        factor = max(factors) if self.kind == "fill" else min(factors)
        factor = across if self.kind == "scale" else factor
        return rounded(factor * height), rounded(factor * width)


@dataclass(frozen=True)
class Route:
    """How a picture of size `source` gets the size `size`, all as (height, width).

    The network runs with each scale of `passes`. The bicubic gives the result the size `cover`,
    `ratio` times that of the picture, of which the middle is kept.
    """

    source: tuple[int, int]
    passes: tuple[int, ...]
    cover: tuple[int, int]
    size: tuple[int, int]
    ratio: Fraction

    @property
    def scale(self) -> int:
        return math.prod(self.passes)

    @property
    def resamples(self) -> bool:
        """Whether the network's result is not the result yet."""
        return self.size != (self.scale * self.source[0], self.scale * self.source[1])

    @property
    def margin(self) -> int:
        """Pixels of the picture around a tile that the bicubic needs."""
        return math.ceil(max(self._reach(0), self._reach(1))) + 1 if self.resamples else 0

    def part(self, axis: int, start: int, stop: int) -> tuple[int, ...]:
        """What `prosr.inference.resizing.Part` is made of, for pixels start…stop−1 of an axis."""
        old, new, kept = self.source[axis], self.cover[axis], self.size[axis]
        cut = (new - kept) // 2
        edges = (-((old - 2 * edge * new) // (2 * old)) for edge in (start, stop))
        begin, end = (min(max(edge, cut), cut + kept) for edge in edges)
        reach = self._reach(axis) if self.resamples else old / new / 2
        first = max(0, math.floor((begin + 0.5) * old / new - reach))
        last = min(old, math.ceil((end - 0.5) * old / new + reach))
        return self.scale * old, self.scale * first, self.scale * last, begin, end, cut

    def _reach(self, axis: int) -> float:
        """Pixels of the picture on each side that the bicubic needs."""
        return max(2 * self.source[axis] / self.cover[axis], 2 / self.scale) + 1.5 / self.scale


def choose(wishes: Mapping[str, Any]) -> Request:
    """The request that the `wishes` make which are not None; 4 times the size without any.

    One of them is a number called "scale", "width", "height", "long-side" or "megapixels", or
    "fit" or "fill" such as "3840x2160", or "print" such as "60x40cm", with "dpi", by default 300.
    Others are "keep-larger" and the settings of encoders. Raises `ConfigError`.
    """
    given = {name: wish for name, wish in wishes.items() if wish is not None and wish is not False}
    keep_larger = bool(given.pop("keep-larger", False))
    names = ("quality", "lossless", "subsampling", "compression", "strip")
    settings = tuple((name, str(given.pop(name)).lower()) for name in names if name in given)
    dpi = given.pop("dpi", 300) if "print" in given else None
    if len(given) > 1 or given.keys() - _LABELS:
        raise ConfigError(f"{', '.join(given)}: give one of {', '.join(_LABELS)}; dpi with print")
    name, wish = (*given.items(), ("scale", 4))[0]
    texts, unit = [str(wish).strip().lower()], ""
    if name in ("fit", "fill", "print"):
        box = _BOX.fullmatch(texts[0])
        if box is None or bool(box[3]) != (name == "print"):
            raise ConfigError(f"{name} {wish!r:.40} is not a size; write 3840x2160 (print 60x40cm)")
        texts, unit = [box[1].strip(), box[2].strip()], box[3] or ""
    limits = (1, _MOST) if name == "scale" else (0, _SIDE)
    whole = name not in ("scale", "megapixels", "print")
    amount = [_number(name, text, *limits, whole) for text in texts]
    label = _LABELS[name] + "x".join(f"{float(a):.9f}".rstrip("0").rstrip(".") for a in amount)
    dots = int(_number("dpi", str(dpi), 1, 10_000, True)) if unit else None
    if dots:
        label += f"{unit}{dots}"
        amount = [Fraction(rounded(side * _INCHES[unit] * dots)) for side in amount]
    if name in ("width", "height", "long-side"):
        name, amount = "fit", [amount[0] * (name != "height"), amount[0] * (name != "width")]
    return Request(name, tuple(amount), label, dots, keep_larger, settings)


def requested(scale: object = None, size: object = None) -> Request:
    """The request for a factor, or for a `size` of (width, height), which is filled."""
    for wish in (scale, size):
        if isinstance(wish, Request):
            return wish
    text = "x".join(map(str, size)) if isinstance(size, tuple | list) else size
    return choose({"scale": scale, "fill": text})


def _number(name: str, text: str, low: int, high: int, whole: bool) -> Fraction:
    value = Fraction(text if re.fullmatch(r"[0-9]{1,20}(\.[0-9]{1,20})?", text) else -1)
    if not low <= value <= high or not value or (whole and value.denominator > 1):
        limits = f"from {low} to {high:,}" if low else f"above 0 and at most {high:,}"
        text = printable(text[:40])
        raise ConfigError(f"{name} {text} is not a {'whole ' * whole}number {limits}")
    return value


def shown(height_width: tuple[int, int]) -> str:
    return f"{height_width[1]}×{height_width[0]}"


def rounded(value: Fraction) -> int:
    """The nearest whole number, at least 1; halves are rounded up."""
    return max(1, math.floor(value + Fraction(1, 2)))
