"""Runs of a few steps on two pictures of noise, for tests."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image

from prosr.config import Recipe
from prosr.data.benchmarks import open_benchmark
from prosr.scales import Scale
from prosr.training.loop import train
from prosr.training.objectives import StepResult
from prosr.training.session import Session, TrainingJob, prepare

RECIPE = Recipe(
    model="prosr-xs",
    steps=8,
    batch=2,
    patch=(6, 4, 2),
    learning_rate=1e-3,
    warmup=2,
    decay="cosine",
    clip=1.0,
    log_every=1,
    validate_every=4,
)


class Silent:
    """Records the events of a run."""

    def __init__(self) -> None:
        self.losses: list[float] = []
        self.reasons: list[str] = []
        self.scores: dict[int, dict[Scale, float]] = {}

    def stepped(self, step: int, result: StepResult, rate: float) -> None:
        self.losses.append(result.loss)

    def skipped(self, step: int, reason: str) -> None:
        self.reasons.append(reason)

    def validated(self, step: int, protocol: str, psnr: dict[Scale, float], best: bool) -> None:
        self.scores[step] = psnr
        self.protocol = protocol


def make_pictures(folder: Path) -> Path:
    """Two pictures of noise."""
    folder.mkdir()
    for seed in range(2):
        pixels = np.random.default_rng(seed).integers(0, 256, (40, 48, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(folder / f"{seed}.png")
    return folder


def nothing(done: int, total: int) -> None:
    """Show no progress."""


def job(pictures: Path, folder: Path, recipe: Recipe = RECIPE, workers: int = 0) -> TrainingJob:
    return TrainingJob(
        recipe=recipe,
        data=[pictures],
        folder=folder,
        cache=pictures.parent / "cache",
        validation=open_benchmark(pictures).first(1),
        workers=workers,
    )


def session(pictures: Path, folder: Path, recipe: Recipe = RECIPE, workers: int = 0) -> Session:
    return prepare(job(pictures, folder, recipe, workers), nothing)


def go(session: Session, until: int = 1000) -> Silent:
    watcher = Silent()
    train(session, watcher, lambda: session.run.progress.step >= until)
    return watcher
