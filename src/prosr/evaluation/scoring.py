"""The one way to score: a benchmark through the `Upscaler` that users get."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from itertools import product
from pathlib import Path
from statistics import fmean
from types import MappingProxyType

import numpy as np

from prosr.data.benchmarks import Benchmark, Pair
from prosr.errors import ConfigError, DataError
from prosr.evaluation.metrics import psnr, ssim
from prosr.evaluation.perceptual import Scorer
from prosr.evaluation.protocol import DATA_RANGE, Protocol, consistency
from prosr.evaluation.provenance import commit, machine
from prosr.evaluation.results import PictureScore, Row
from prosr.inference.upscaler import Upscaler
from prosr.scales import check_scale
from prosr.version import __version__


def score(
    upscaler: Upscaler,
    benchmark: Benchmark,
    scale: int,
    protocol: Protocol,
    *,
    name: str | None = None,
    psnr_only: bool = False,
    also: Mapping[str, Scorer] = MappingProxyType({}),
    progress: Callable[[], None] = lambda: None,
) -> Row:
    """Enlarge and score the set's pictures.

    `name` is the row's model, the upscaler's own unless given. `psnr_only` leaves out SSIM
    and consistency. `also` are further scorers by their names. `progress` is called after
    each picture. Only enlarging is timed, after a small picture to warm up. Raises what
    reading and enlarging raise, and `DataError` naming a picture too small for the
    protocol.
    """
    scale = check_scale(scale)
    # The first call of a process pays for loading kernels, which is no property of the model.
    upscaler.upscale(np.zeros((16, 16, 3), np.uint8), scale)
    pictures: list[PictureScore] = []
    pixels = 0
    for pair in benchmark.pairs(scale):
        pictures.append(
            _score_picture(upscaler, benchmark.name, pair, scale, protocol, psnr_only, also)
        )
        pixels += pair.y.shape[0] * pair.y.shape[1]
        progress()
    return Row(
        model=name or upscaler.name,
        set=benchmark.name,
        scale=scale,
        protocol=protocol.name,
        psnr=round(fmean(picture.psnr for picture in pictures), 4),
        ssim=_mean([picture.ssim for picture in pictures], 6),
        consistency=_mean([picture.consistency for picture in pictures], 4),
        seconds=round(sum(picture.seconds for picture in pictures), 4),
        megapixels=round(pixels / 1e6, 4),
        also={key: round(fmean(p.also[key] for p in pictures), 4) for key in also},
        weights=upscaler.sha256 or None,
        engine=upscaler.work.computed_by,
        machine=machine(),
        prosr=__version__,
        commit=commit(),
        pictures=tuple(pictures),
    )


def score_all(
    upscalers: Mapping[str, Upscaler],
    benchmarks: Sequence[Benchmark],
    scales: Mapping[str, Sequence[int]],
    protocol: Protocol,
    progress: Callable[[str], None] = lambda what: None,
    also: Mapping[str, Scorer] = MappingProxyType({}),
) -> Iterator[Row]:
    """Score each model, under the name it has in `upscalers`, on each set at its `scales`.

    `progress` is called after each picture with what is being scored. Raises `ConfigError`
    before any work if two sets have one name.
    """
    check_names("sets", [benchmark.name for benchmark in benchmarks])
    for name, upscaler in upscalers.items():
        for benchmark, scale in product(benchmarks, scales[name]):
            tell = partial(progress, f"{name}, {benchmark.name} ×{scale}")
            yield score(upscaler, benchmark, scale, protocol, name=name, also=also, progress=tell)


def name_models(upscalers: Mapping[str, Upscaler]) -> dict[str, Upscaler]:
    """Turn request → model into name → model, with a name of its own for each.

    A request is a model's name or its file's path. Weights files of one name, as training
    writes them, get their folder's in front; `ConfigError` where that does not suffice.
    """
    names = Counter(upscaler.name for upscaler in upscalers.values())
    named = [
        (f"{Path(request).resolve().parent.name}/{one.name}" if names[one.name] > 1 else one.name)
        for request, one in upscalers.items()
    ]
    check_names("models", named)
    return dict(zip(named, upscalers.values(), strict=True))


def check_names(what: str, names: Iterable[str]) -> None:
    """Raise `ConfigError` if two of `names`, those of `what`, are the same."""
    for name, count in Counter(names).items():
        if count > 1:
            raise ConfigError(f"{count} {what} are called {name!r}; rename their files or folders")


def _score_picture(
    upscaler: Upscaler,
    set_name: str,
    pair: Pair,
    scale: int,
    protocol: Protocol,
    psnr_only: bool,
    also: Mapping[str, Scorer],
) -> PictureScore:
    start = time.perf_counter()
    y_hat = upscaler.upscale(pair.x, scale)
    seconds = time.perf_counter() - start
    assert y_hat.dtype == np.uint8 and y_hat.shape == pair.y.shape, "the upscaler broke its word"
    try:
        a, b = (protocol.prepare(picture, scale) for picture in (y_hat, pair.y))
        border = protocol.crop(scale)
        more = {name: take(pair.x, y_hat, pair.y, border) for name, take in also.items()}
        similarity = None if psnr_only else ssim(a, b, data_range=DATA_RANGE)
    except (ConfigError, DataError) as error:
        raise DataError(
            f"picture {pair.name} of {set_name} cannot be scored under protocol {protocol.name} "
            f"at scale {scale}: {error}"
        ) from error
    return PictureScore(
        name=pair.name,
        psnr=round(psnr(a, b, data_range=DATA_RANGE), 4),
        ssim=None if similarity is None else round(similarity, 6),
        consistency=None if psnr_only else round(consistency(pair.x, y_hat, scale), 4),
        seconds=round(seconds, 4),
        also={name: round(value, 4) for name, value in more.items()},
    )


def _mean(values: list[float | None], digits: int) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), digits) if known else None
