"""What is known of a model: its layout, its size, what it costs, how it was made and scored."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from prosr.checkpoints.weights import Weights, find_or_build
from prosr.evaluation.results import Row, known_results, merge, read_results
from prosr.nets.cost import trace
from prosr.scales import Scale


@dataclass(frozen=True)
class ScaleFacts:
    """What enlarging by `scale` takes.

    `parameters` are those that training up to the scale trains, `multiply_adds` are for
    one pixel of the input, `radius` is in pixels of the input.
    """

    scale: Scale
    parameters: int
    multiply_adds: int
    radius: int

    @property
    def gflop(self) -> float:
        """10⁹ floating-point operations for a megapixel of the enlarged picture."""
        return 2e-3 * self.multiply_adds / self.scale**2


@dataclass(frozen=True)
class Facts:
    """A model as its file, its name and results tell it.

    The hash of `weights` is empty and their card holds nothing for a preset without weights.
    """

    name: str
    weights: Weights
    scales: tuple[ScaleFacts, ...]
    parameters: int
    scores: tuple[Row, ...]


def facts(name: str, results: Iterable[Path] = ()) -> Facts:
    """Tell of a preset or a weights file.

    `scores` are its rows in the files `results`, and those that came with the package.
    Raises `CheckpointError` or `ConfigError` for what is neither.
    """
    weights = find_or_build(name)
    net = weights.net
    total = net.parameter_count(net.scales[-1])

    def its(row: Row) -> bool:
        return row.weights == weights.sha256 if total else row.model == name

    own = [row for path in results for row in read_results(path)]
    rows = merge(filter(its, known_results()), filter(its, own))
    return Facts(
        weights.name,
        weights,
        tuple(
            ScaleFacts(scale, net.parameter_count(scale), cost.macs, cost.radius)
            for scale in net.scales
            for cost in (trace(net, scale),)
        ),
        total,
        tuple(rows),
    )
