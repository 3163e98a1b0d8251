"""Outcomes made by hand, with scores that are easy to add up."""

from collections.abc import Sequence

from prosr.config import Recipe
from prosr.evaluation.provenance import Machine
from prosr.evaluation.results import PictureScore, ScoreRow
from prosr.lab.outcome import RunRecord, ValidationPoint
from prosr.layouts import validated

NOWHERE = Machine(cpu="none", cores=1, threads=1, torch="none")


def run(cell: str, seed: int, points: Sequence[ValidationPoint] = ()) -> RunRecord:
    """A finished run with a thousand parameters for each scale's number."""
    return RunRecord(
        cell=cell,
        seed=seed,
        recipe=validated(Recipe, {"model": "prosr-xs", "steps": 10, "seed": seed}),
        seconds=60.0,
        skipped=0,
        parameters={scale: 1000 * scale for scale in (2, 4, 8)},
        weights=f"{cell} {seed}",
        validation=tuple(points),
    )


def row(model: str, set_name: str, scale: int, *psnr: float, ssim: float | None = None) -> ScoreRow:
    """Scores of one picture for each number; each picture took a second per megapixel."""
    cell, _, seed = model.rpartition("/seed-")
    return ScoreRow(
        model=model,
        set=set_name,
        scale=scale,
        protocol="paper",
        psnr=round(sum(psnr) / len(psnr), 4),
        ssim=ssim,
        consistency=None,
        seconds=float(len(psnr)),
        megapixels=float(len(psnr)),
        engine="torch fp32",
        weights=f"{cell} {seed}",
        machine=NOWHERE,
        prosr="0",
        commit=None,
        pictures=tuple(
            PictureScore(name=str(i), psnr=value, ssim=ssim, consistency=None, seconds=1.0)
            for i, value in enumerate(psnr)
        ),
    )
