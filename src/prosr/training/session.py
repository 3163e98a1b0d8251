"""Preparing a run: processes, pictures, device and precision."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import torch
from lightning_fabric import Fabric

from prosr.config import Recipe
from prosr.data.benchmarks import Benchmark
from prosr.data.decoded import CACHE_SIZE
from prosr.data.patches import PatchSampler, has_room, open_pictures
from prosr.errors import ConfigError, DataError
from prosr.evaluation.protocol import find_protocol
from prosr.evaluation.provenance import machine
from prosr.inference.engines.openvino import bf16_is_faster
from prosr.inference.memory import reuse_freed_memory
from prosr.scales import SCALES
from prosr.training.curriculum import scale_at
from prosr.training.run import Run, open_run, stored_state

PROTOCOL, DEGRADED = find_protocol("paper"), find_protocol("paper+jpeg-75")
"""How validation scores, and how it does if the recipe degrades its inputs."""


@dataclass(frozen=True)
class TrainingJob:
    """What to train, on which pictures, and with which resources.

    `cache` keeps decoded pictures, `cache_size` bytes at most. `workers` processes prepare
    batches for each of the `devices` processes on each of `nodes` machines. `skip_nonfinite`
    skips steps that diverge. A new run starts from the parameters of `start_from`, a model or
    weights file.
    """

    recipe: Recipe
    data: Sequence[Path]
    folder: Path
    cache: Path
    validation: Benchmark | None = None
    workers: int = 1
    devices: int = 1
    nodes: int = 1
    skip_nonfinite: bool = False
    start_from: Path | None = None
    cache_size: int = CACHE_SIZE


@dataclass(frozen=True)
class Session:
    """A run that is ready for `train`, with notes for the user."""

    job: TrainingJob
    run: Run
    sampler: PatchSampler
    fabric: Fabric
    notes: tuple[str, ...]


def prepare(job: TrainingJob, progress: Callable[[int, int], None]) -> Session:
    """Join the run's processes, open the pictures, and start or resume the run.

    `progress` gets the number of pictures opened and of all. The notes name unreadable
    pictures. Raises `DataError` if there are too few pictures, and what `open_run` raises.
    """
    recipe, (before, _) = job.recipe, stored_state(job.folder)
    precision = choose_precision(recipe, before.precision)
    fabric = launch(precision, job.devices, job.nodes)
    _check_processes(fabric, recipe)
    with fabric.rank_zero_first():
        pictures, problems = open_pictures(job.data, job.cache, progress, job.cache_size)
    if not pictures:
        names = ", ".join(map(str, job.data))
        reason = (
            f"{len(problems)} are unreadable; the first: {problems[0]}" if problems else "add some"
        )
        raise DataError(f"{names}: no pictures to train on; {reason}")
    is_plain = recipe.degradation.kind == "bicubic"
    sampler = PatchSampler(
        pictures,
        # Not a lambda: it must be picklable for workers that are not forked.
        partial(scale_at, recipe=recipe),
        {s: p for s, p in zip(SCALES, recipe.patch, strict=True) if s in recipe.scales},
        recipe.batch,
        recipe.seed,
        fabric.global_rank,
        fabric.world_size,
        recipe.degradation,
        fabric.device if is_plain and has_room(fabric.device, pictures) else None,
    )
    if job.validation is not None:
        job.validation.check(recipe.scales, PROTOCOL.smallest)
    here = machine()
    card = {
        "model": recipe.model,
        "trained on": sorted({folder.name for folder in job.data}),
        "pictures": len(pictures),
        "precision": precision,
        "machine": f"{here.cores} core{'s' * (here.cores > 1)} of {here.cpu}",
    }
    run = open_run(job.folder, recipe, card, fabric.device, job.start_from)
    lines = "\n".join(f"{one.path.name} {one.height} {one.width}" for one in pictures)
    digest = hashlib.sha256(lines.encode()).hexdigest()[:16]
    run.progress.precision, run.progress.pictures = precision, digest
    notes = [f"skipped, unreadable: {problem}" for problem in problems]
    if before.pictures not in ("", digest):
        notes.append("the training pictures differ from those of this run's earlier steps")
    if before.precision not in ("", precision):
        notes.append(f"the run's earlier steps were in {before.precision}")
    if fabric.device.type != "cpu" and not is_plain:
        notes.append("inputs are degraded on the CPU; --workers shares that among its cores")
    elif fabric.device.type == "cpu" and precision == "bf16" and not bf16_is_faster():
        notes.append("bf16 is slow on this processor; --set precision=fp32 trains faster")
    notes.append(f"{len(pictures)} pictures, {len(problems)} unreadable")
    processes = f"{fabric.world_size} × " if fabric.world_size > 1 else ""
    notes.append(f"{processes}{fabric.device.type}, {precision}, {torch.get_num_threads()} threads")
    return Session(job, run, sampler, fabric, tuple(notes))


def launch(precision: str, devices: int = 1, nodes: int = 1) -> Fabric:
    """Join the processes that torchrun or SLURM has started, or be the only one."""
    several = devices * nodes > 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1
    # The notes of a session already contain the information in its banners.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        fabric = Fabric(
            accelerator="auto",
            # A step uses the parameters of one scale; those of the others get no gradient.
            strategy="ddp_find_unused_parameters_true" if several else "auto",
            devices=devices,
            num_nodes=nodes,
            precision="bf16-mixed" if precision == "bf16" else "32-true",
        )
    except ValueError as error:
        # The variables of SLURM contradict the command line.
        raise ConfigError(
            f"{devices} devices on {nodes} nodes cannot be started here ({error}); under SLURM "
            "start one task for each device with srun"
        ) from error
    fabric.launch()
    if fabric.device.type == "cpu":
        reuse_freed_memory()
    return fabric


def choose_precision(recipe: Recipe, before: str = "") -> str:
    """The recipe's precision; for "auto" that of the steps before, or else the faster one here.

    A run keeps its choice, unless its recipe sets another: a timing must not change its results.
    """
    if recipe.precision != "auto":
        return recipe.precision
    if before:
        return before
    if torch.cuda.is_available():
        faster = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        faster = bf16_is_faster()
    return "bf16" if faster else "fp32"


def _check_processes(fabric: Fabric, recipe: Recipe) -> None:
    turns = recipe.adversarial.turns if recipe.adversarial else 1
    if recipe.batch % (fabric.world_size * turns):
        raise DataError(
            f"a batch of {recipe.batch} cannot be shared by {fabric.world_size} processes "
            f"with {turns} turns each; set batch to a multiple of {fabric.world_size * turns}"
        )
