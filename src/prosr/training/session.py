"""Setting a run up: processes, pictures, device, precision, validation."""

from __future__ import annotations

import hashlib
import logging
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from lightning_fabric.strategies.ddp import DDPStrategy

from prosr.checkpoint import weights_hash
from prosr.config import Recipe
from prosr.data.benchmarks import Benchmark
from prosr.data.decoded import CACHE_SIZE
from prosr.data.patches import Picture, find_pictures, open_pictures
from prosr.data.sampler import PatchSampler
from prosr.errors import ConfigError, DataError
from prosr.evaluation.protocol import Protocol
from prosr.evaluation.provenance import machine
from prosr.evaluation.scoring import score
from prosr.inference.memory import reuse_freed_memory
from prosr.inference.precision import bf16_pays
from prosr.inference.upscaler import SCORING_MEMORY, Upscaler
from prosr.layouts import SCALES, Scale
from prosr.training.curriculum import scale_at
from prosr.training.failures import named_failures
from prosr.training.loop import Draw, Observer, Validate, train
from prosr.training.objectives import all_mean
from prosr.training.run import Run, open_run, stored_progress
from prosr.training.sheets import sheet_drawer


@dataclass(frozen=True)
class Job:
    """What is to be trained, on what, and with what.

    `cache` keeps decoded pictures, `cache_size` bytes at most; `validation` is scored under
    `protocol`, if there is one. `workers` prepare batches for each of `devices`
    processes on each of `nodes` machines. `skip_nonfinite` leaves out steps that would end
    the run otherwise. A new run takes its first parameters from the model or weights
    file `start_from`.
    """

    recipe: Recipe
    data: Sequence[Path]
    folder: Path
    cache: Path
    protocol: Protocol
    validation: Benchmark | None = None
    workers: int = 1
    devices: int = 1
    nodes: int = 1
    skip_nonfinite: bool = False
    start_from: Path | None = None
    cache_size: int = CACHE_SIZE


@dataclass(frozen=True)
class Session:
    """A run made ready to go on, with what a person wants to know before it does."""

    job: Job
    run: Run
    sampler: PatchSampler
    fabric: Fabric
    validate: Validate | None
    draw: Draw | None
    notes: tuple[str, ...]

    def go(self, observer: Observer, should_stop: Callable[[], bool]) -> None:
        """Train until the recipe's end or until `should_stop` says so in any process.

        Raises what `train` raises, and `named_failures` for what comes from outside.
        """
        with named_failures(self.fabric.world_size):
            train(
                self.run,
                self.sampler,
                self.fabric,
                self.validate,
                observer,
                should_stop,
                self.job.workers,
                self.job.skip_nonfinite,
                self.draw,
            )


def prepare(job: Job, progress: Callable[[int, int], None]) -> Session:
    """Open the pictures and the run; `progress` gets the pictures opened and their number.

    Starts the other processes if there are to be any. Unreadable pictures are named in the
    notes. Raises `DataError` if what is left is too little, and what `open_run` raises.
    """
    recipe = job.recipe
    paths = find_pictures(job.data)
    if not paths:
        names = ", ".join(map(str, job.data))
        raise DataError(f"no pictures below {names}; training needs a folder of photographs")
    progress_before = stored_progress(job.folder)
    if recipe.precision == "auto":
        # What is faster is found by timing, which a run that goes on must not depend on.
        chosen = progress_before.precision or choose_precision()
        recipe = recipe.model_copy(update={"precision": chosen})
    fabric = launch(recipe, job.devices, job.nodes)
    _agree_on_precision(fabric, recipe)
    turns = recipe.adversarial.turns if recipe.adversarial else 1
    if recipe.batch % (fabric.world_size * turns):
        raise DataError(
            f"a batch of {recipe.batch} cannot be shared by {fabric.world_size} processes "
            f"with {turns} turns each; set batch to a multiple of {fabric.world_size * turns}"
        )
    with fabric.rank_zero_first():
        pictures, problems = open_pictures(
            paths, job.cache, _counting(progress, len(paths)), job.cache_size
        )
    if not pictures:
        raise DataError(
            f"none of {len(paths)} training pictures can be read; the first: {problems[0]}"
        )
    sampler = PatchSampler(
        pictures,
        # Not a lambda: where workers are not forked, it travels to them.
        partial(scale_at, recipe=recipe),
        {s: p for s, p in zip(SCALES, recipe.patch, strict=True) if s in recipe.scales},
        recipe.batch,
        recipe.seed,
        fabric.global_rank,
        fabric.world_size,
    )
    if job.validation is not None:
        job.validation.check(recipe.scales, job.protocol.smallest)
    card = _card(job, pictures) | {"precision": recipe.precision}
    run = open_run(job.folder, job.recipe, card, fabric.device, job.start_from)
    run.progress.precision, run.progress.pictures = recipe.precision, _digest(pictures)
    notes = [f"unreadable, left out: {problem}" for problem in problems]
    if progress_before.pictures not in ("", run.progress.pictures):
        notes.append("the training pictures are not those of this run's earlier steps")
    if progress_before.precision not in ("", recipe.precision):
        notes.append(f"earlier steps were in {progress_before.precision}")
    notes.append(f"{len(pictures)} pictures, {len(problems)} unreadable")
    processes = f"{fabric.world_size} × " if fabric.world_size > 1 else ""
    threads = f"{torch.get_num_threads()} threads"
    notes.append(f"{processes}{fabric.device.type}, {recipe.precision}, {threads}")
    validate = _validator(job.validation, job.protocol) if job.validation else None
    draw = sheet_drawer(job.validation) if job.validation else None
    return Session(job, run, sampler, fabric, validate, draw, tuple(notes))


def launch(recipe: Recipe, devices: int = 1, nodes: int = 1) -> Fabric:
    """Start a run's processes, or join those that torchrun or SLURM has started."""
    several = devices * nodes > 1 or int(os.environ.get("WORLD_SIZE", "1")) > 1
    strategy: str | DDPStrategy = "auto"
    if several:
        # A step uses the parameters of one scale; those of the others stay without gradient.
        strategy = DDPStrategy(find_unused_parameters=True)
    # Its banners tell what the notes of a session tell.
    logging.getLogger("lightning_fabric").setLevel(logging.WARNING)
    try:
        fabric = Fabric(
            accelerator="auto",
            strategy=strategy,
            devices=devices,
            num_nodes=nodes,
            precision=resolve_precision(recipe),
        )
    except ValueError as error:
        # SLURM's variables say something else than the command line.
        raise ConfigError(
            f"{devices} devices on {nodes} nodes cannot be started here ({error}); under SLURM "
            "start one task for each device with srun"
        ) from error
    fabric.launch()
    if fabric.device.type == "cpu":
        reuse_freed_memory()
    return fabric


def is_first_process() -> bool:
    """Whether this process is the only one, or the one that speaks for all."""
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return int(next((rank for rank in ranks if rank is not None), "0")) == 0


def resolve_precision(recipe: Recipe) -> Literal["bf16-mixed", "32-true"]:
    """Fabric's name for the precision: bf16 where asked for or where it pays."""
    chosen = choose_precision() if recipe.precision == "auto" else recipe.precision
    return "bf16-mixed" if chosen == "bf16" else "32-true"


def choose_precision() -> Literal["bf16", "fp32"]:
    """The one that this machine is faster in."""
    return "bf16" if bf16_pays() else "fp32"


def _agree_on_precision(fabric: Fabric, recipe: Recipe) -> None:
    share = all_mean(fabric, torch.tensor(float(recipe.precision == "bf16"), device=fabric.device))
    if 0 < share.item() < 1:
        raise ConfigError(
            "some of the processes would compute in bf16 and some in fp32; "
            'say which in the recipe, as in --set precision="fp32"'
        )


def _digest(pictures: Sequence[Picture]) -> str:
    told = "\n".join(f"{one.path.name} {one.height} {one.width}" for one in pictures)
    return hashlib.sha256(told.encode()).hexdigest()[:16]


def stop_after(minutes: float | None, interrupted: Callable[[], object]) -> Callable[[], bool]:
    """Make a `should_stop` that is true after `minutes` or once `interrupted` is."""
    end = time.monotonic() + 60 * minutes if minutes is not None else float("inf")
    return lambda: bool(interrupted()) or time.monotonic() >= end


def _validator(benchmark: Benchmark, protocol: Protocol) -> Validate:
    def validate(run: Run, scales: tuple[Scale, ...]) -> dict[Scale, float]:
        digest = weights_hash(run.average.state_dict())
        upscaler = Upscaler(run.average, run.recipe.model, digest, SCORING_MEMORY)
        return {
            scale: score(upscaler, benchmark, scale, protocol, psnr_only=True).psnr
            for scale in scales
        }

    return validate


def _card(job: Job, pictures: Sequence[Picture]) -> dict[str, Any]:
    here = machine()
    recipe = job.recipe.model_dump(mode="json")
    if recipe["adversarial"]:
        # Where a file lay on one machine says nothing on another.
        del recipe["adversarial"]["file"]
    return {
        "model": job.recipe.model,
        "trained on": sorted({folder.name for folder in job.data}),
        "pictures": len(pictures),
        "recipe": recipe,
        "machine": f"{here.cores} cores of {here.cpu}",
    }


def _counting(progress: Callable[[int, int], None], total: int) -> Callable[[], None]:
    done = 0

    def count() -> None:
        nonlocal done
        done += 1
        progress(done, total)

    return count
