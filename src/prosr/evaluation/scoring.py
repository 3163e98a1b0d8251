"""Score the `Upscaler` that users get on a benchmark set."""

from __future__ import annotations

import logging
import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cache, partial
from itertools import product
from statistics import fmean
from typing import TYPE_CHECKING

import numpy as np

from prosr.data.benchmarks import Benchmark, Pair
from prosr.data.degradations import degraded
from prosr.errors import ConfigError, DataError
from prosr.evaluation.metrics import ssim
from prosr.evaluation.perceptual import Scorer
from prosr.evaluation.protocol import DATA_RANGE, Protocol, bounded_psnr, consistency
from prosr.evaluation.provenance import commit, machine
from prosr.evaluation.results import PictureScore, ScoreRow
from prosr.version import __version__

if TYPE_CHECKING:
    from prosr.inference.upscaler import Upscaler

_LOG = logging.getLogger(__name__)

SCORING_MEMORY = 8_000_000_000
"""Bytes for scores and timings: the receptive fields of EDSR and SRDenseNet need over 2 GB."""


class ScoringStoppedError(Exception):
    """Scoring was stopped after a picture."""


def score(
    upscaler: Upscaler,
    benchmark: Benchmark,
    scale: int,
    protocol: Protocol,
    *,
    name: str | None = None,
    psnr_only: bool = False,
    also: Mapping[str, Scorer] | None = None,
    progress: Callable[[], object] = lambda: None,
) -> ScoreRow:
    """Upscale and score all pictures of a set.

    `name` is the row's model, by default the upscaler's name. `psnr_only` skips SSIM and
    consistency. `also` has further scorers by name. `progress` is called after each picture; if it
    returns true, `ScoringStoppedError` is raised. Only upscaling is timed, after a small picture to
    warm up. Pictures of one colour are left out with a warning: an exact estimate of one has
    infinite PSNR. Raises what reading and upscaling raise, and `DataError` naming a picture that is
    too small for the protocol.
    """
    also = also or {}
    # The first call of a process also loads kernels.
    upscaler.upscale(np.zeros((16, 16, 3), np.uint8), scale)
    pictures: list[PictureScore] = []
    pixels = 0
    border = protocol.crop(scale)
    for pair in benchmark.pairs(scale):
        inner = pair.y[border:-border, border:-border]
        if inner.size and (inner == inner[0, 0]).all():
            _leave_out(benchmark.name, pair.name)
            continue
        picture = _score_picture(upscaler, benchmark.name, pair, scale, protocol, psnr_only, also)
        pictures.append(picture)
        pixels += pair.y.shape[0] * pair.y.shape[1]
        if progress():
            raise ScoringStoppedError
    if not pictures:
        raise DataError(f"every picture of {benchmark.name} has one colour; add photographs")
    return ScoreRow(
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


@cache
def _leave_out(set_name: str, name: str) -> None:
    """Warn of a picture once."""
    _LOG.warning("picture %s of %s has one colour: it does not count in scores", name, set_name)


def score_all(
    upscalers: Mapping[str, Upscaler],
    benchmarks: Sequence[Benchmark],
    scales: Mapping[str, Sequence[int]],
    protocols: Sequence[Protocol],
    progress: Callable[[str], None] = lambda what: None,
    also: Mapping[str, Scorer] | None = None,
) -> Iterator[ScoreRow]:
    """Score each model in `upscalers`, by name, on each set at its `scales` under each protocol.

    After each picture `progress` gets a text with model, set and scale. Raises `ConfigError`
    before any work if two sets have the same name.
    """
    check_names(benchmark.name for benchmark in benchmarks)
    for name, upscaler in upscalers.items():
        for benchmark, scale, protocol in product(benchmarks, scales[name], protocols):
            tell = partial(progress, f"{name}, {benchmark.name} ×{scale}")
            yield score(upscaler, benchmark, scale, protocol, name=name, also=also, progress=tell)


def check_names(sets: Iterable[str]) -> None:
    """Raise `ConfigError` if two sets have the same name."""
    for name, count in Counter(sets).items():
        if count > 1:
            raise ConfigError(f"{count} sets are called {name!r}; rename their files or folders")


def _score_picture(
    upscaler: Upscaler,
    set_name: str,
    pair: Pair,
    scale: int,
    protocol: Protocol,
    psnr_only: bool,
    also: Mapping[str, Scorer],
) -> PictureScore:
    x = degraded(pair.x, protocol.degradation)
    start = time.perf_counter()
    y_hat = upscaler.upscale(x, scale)
    seconds = time.perf_counter() - start
    try:
        a, b = (protocol.prepare(picture, scale) for picture in (y_hat, pair.y))
        border = protocol.crop(scale)
        more = {name: scorer(x, y_hat, pair.y, border) for name, scorer in also.items()}
        for name, value in more.items():
            if not math.isfinite(value):
                raise DataError(f"{name} is not a finite number")
        similarity = None if psnr_only else ssim(a, b, data_range=DATA_RANGE)
    except (ConfigError, DataError) as error:
        raise DataError(
            f"picture {pair.name} of {set_name} cannot be scored under protocol {protocol.name} "
            f"at scale {scale}: {error}"
        ) from error
    return PictureScore(
        name=pair.name,
        psnr=round(bounded_psnr(a, b), 4),
        ssim=None if similarity is None else round(similarity, 6),
        consistency=None if psnr_only else round(consistency(x, y_hat, scale), 4),
        seconds=round(seconds, 4),
        also={name: round(value, 4) for name, value in more.items()},
    )


def _mean(values: list[float | None], digits: int) -> float | None:
    known = [value for value in values if value is not None]
    return round(fmean(known), digits) if known else None
