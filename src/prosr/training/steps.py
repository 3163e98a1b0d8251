"""What a training step takes, plain and with each thing that might make it faster."""

from __future__ import annotations

import copy
import time
import warnings
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import partial
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
import torch
from torch.optim import Adam

from prosr.config import Recipe, Single
from prosr.data.decoded import Decoded
from prosr.data.patches import Picture
from prosr.data.sampler import PREFETCHED, Batch, PatchSampler, prepared
from prosr.errors import ProSRError
from prosr.inference.memory import reuse_freed_memory
from prosr.inference.precision import has_native_bf16
from prosr.lab.apart import Apart
from prosr.lab.records import Row, make_row
from prosr.lab.rounds import PEAK_MULTIPLY_ADDS, Subject, Timing, matmul, measure
from prosr.nets.build import build
from prosr.nets.cost import trace
from prosr.scales import SCALES, Scale
from prosr.training.curriculum import scale_at
from prosr.training.loop import make_stepper
from prosr.training.losses import pixel_loss
from prosr.training.objectives import supervised, update_average
from prosr.training.run import open_run
from prosr.training.session import launch

_CLIP, _DECAY = 1.0, 0.999
_PICTURES = 8


@dataclass(frozen=True)
class Work:
    """A step of a recipe at one of its scales."""

    recipe: Recipe
    scale: Scale

    @property
    def patch(self) -> int:
        """Side of x in pixels."""
        return self.recipe.patch[SCALES.index(self.scale)]

    @property
    def multiply_adds(self) -> int:
        """Three times those of the forward pass.

        The backward pass has as many again for the inputs and for the weights.
        """
        forward = trace(build(self.recipe.net), self.scale).macs
        return 3 * forward * self.recipe.batch * self.patch**2

    def make_batch(self) -> Batch:
        """A batch of noise."""
        rng = np.random.default_rng(0)
        sides = self.patch, self.scale * self.patch
        x, y = (
            rng.integers(0, 256, (self.recipe.batch, 3, side, side), np.uint8) for side in sides
        )
        return Batch(0, self.scale, torch.from_numpy(x), torch.from_numpy(y), ("noise",))


@dataclass(frozen=True)
class Variant:
    """One change to the plain step: float32, contiguous, eager, for-loop Adam, no more."""

    channels_last: bool = False
    bf16: bool = False
    keep_memory: bool = False
    adam: Literal["for-loop", "foreach", "fused"] = "for-loop"
    care: bool = False
    compiled: bool = False


TRAINED = "as prosr train"
VARIANTS: dict[str, Variant | None] = {
    "plain: fp32, contiguous, eager": Variant(),
    "plain, channels last": Variant(channels_last=True),
    "plain, freed memory kept": Variant(keep_memory=True),
    "plain, bf16": Variant(bf16=True),
    "plain, Adam foreach": Variant(adam="foreach"),
    "plain, Adam fused": Variant(adam="fused"),
    "plain, clipped and averaged": Variant(care=True),
    "plain, compiled": Variant(compiled=True),
    "channels last, freed memory kept, compiled": Variant(True, keep_memory=True, compiled=True),
    "bf16, channels last, freed memory kept": Variant(True, True, True),
    "bf16, channels last, freed memory kept, compiled": Variant(True, True, True, compiled=True),
    TRAINED: None,
}
"""By what they are called; None is the step of `prosr.training` itself."""


def time_steps(
    work: Work, rounds: int, progress: Callable[[str], None]
) -> tuple[list[Row], list[str]]:
    """Let all variants of a step take turns, and matrix products for the machine's peak.

    Each is in a process of its own. Also gives a line for each variant that this machine
    cannot run.
    """
    notes: list[str] = []
    native = has_native_bf16()
    with ExitStack() as processes:
        steps: dict[str, Apart[Any]] = {}
        for name, variant in VARIANTS.items():
            if variant is not None and variant.bf16 and not native:
                notes.append(f"{name}: not available (no bfloat16 in hardware)")
                continue
            step = processes.enter_context(Apart(make_step, (work, variant)))
            progress(f"{name}: starting")
            compiled = variant is not None and variant.compiled
            if compiled and (problem := _problem(step)):
                notes.append(f"{name}: not available ({problem})")
            else:
                steps[name] = step
        products = {
            f"matrix product, {str(kind).removeprefix('torch.')}": Apart(matmul, kind)
            # Emulated, a single product took a minute (2 cores with AVX2).
            for kind in (torch.float32, *([torch.bfloat16] if native else []))
        }
        for product in products.values():
            processes.enter_context(product)
        timings = measure({**steps, **products}, rounds, progress=progress)
        rows = {n: _row(work, n, timings[n], step.peak_memory()) for n, step in steps.items()}
    progress("waiting for data")
    with Apart(make_waiting, (work, 4 * rounds)) as training:
        rows[TRAINED] = rows[TRAINED].model_copy(update={"waiting": training()})
    for name in products:
        rows[name] = make_row("peak", name, timings[name], multiply_adds=PEAK_MULTIPLY_ADDS)
    return list(rows.values()), notes


def _problem(step: Subject) -> str:
    """Why a compiled step cannot be taken here; empty if it can."""
    try:
        step()
    except ProSRError:
        raise
    # torch.compile fails in as many ways as there are compilers and systems.
    except Exception as error:
        return " ".join(f"{type(error).__name__}: {error}".split())[:120]
    return ""


def _row(work: Work, name: str, timing: Timing, memory: int) -> Row:
    batch, patch = work.recipe.batch, work.patch
    return make_row(
        f"{work.recipe.model} ×{work.scale}, {batch} × {patch}×{patch}",
        name,
        timing,
        multiply_adds=work.multiply_adds,
        pictures=batch,
        memory=memory,
    )


def make_step(request: tuple[Work, Variant | None]) -> Subject:
    """Make the step of a variant, with a network of its own."""
    work, variant = request
    if variant is not None:
        return _step(work, variant)
    trained, batch, steps = _Trained(work), work.make_batch(), count()
    # What is drawn anew at each step may change what it takes.
    return lambda: trained.step(replace(batch, step=next(steps)))


def _step(work: Work, variant: Variant) -> Subject:
    torch.manual_seed(0)
    if variant.keep_memory:
        reuse_freed_memory()
    layout = torch.channels_last if variant.channels_last else torch.contiguous_format
    net = build(work.recipe.net).to(memory_format=layout)  # type: ignore[call-overload]
    average = copy.deepcopy(net)
    foreach, fused = variant.adam == "foreach", variant.adam == "fused"
    optimizer = Adam(net.parameters(), 1e-4, foreach=foreach, fused=fused)
    trained = supervised(net)
    if variant.compiled:
        # It looks through what is remembered of the bicubic's taps, which never change.
        warnings.filterwarnings("ignore", "Dynamo detected a call to a `functools.lru_cache`")
    call: Any = torch.compile(trained) if variant.compiled else trained
    batch = work.make_batch()

    def step() -> None:
        x, y = (
            pixels.float().div_(255).contiguous(memory_format=layout)
            for pixels in (batch.x, batch.y)
        )
        with torch.autocast("cpu", torch.bfloat16, enabled=variant.bf16):
            loss = pixel_loss(call(x, work.scale, 1.0), y)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        if variant.care:
            torch.nn.utils.clip_grad_norm_(net.parameters(), _CLIP).item()
        optimizer.step()
        if variant.care:
            update_average(average, net, _DECAY)

    return step


class _Trained:
    """The parts of a real run, whose folder is gone at once."""

    def __init__(self, work: Work) -> None:
        recipe = work.recipe
        fabric = launch(recipe)
        with TemporaryDirectory() as folder:
            self._run = open_run(Path(folder), recipe, {}, fabric.device)
        self._take_step = make_stepper(self._run, fabric)

    def step(self, batch: Batch) -> None:
        self._take_step(batch, 1.0)
        update_average(self._run.average, self._run.net, _DECAY)


def make_waiting(request: tuple[Work, int]) -> Subject:
    """Make a short training that gives the share of its time spent waiting for batches."""
    work, steps = request
    return lambda: _train_and_wait(work, steps)


def _train_and_wait(work: Work, steps: int) -> float:
    trained = _Trained(work)
    waited = total = 0.0
    with TemporaryDirectory() as folder:
        batches = prepared(_sampler(work, Path(folder)), range(PREFETCHED + steps), workers=1)
        for index in range(PREFETCHED + steps):
            start = time.perf_counter()
            batch = next(batches)
            arrived = time.perf_counter()
            trained.step(batch)
            if index >= PREFETCHED:
                waited += arrived - start
                total += time.perf_counter() - start
    return round(waited / total, 4)


def _sampler(work: Work, folder: Path) -> PatchSampler:
    """Batches from noise as large as BSDS500's pictures."""
    decoded, pictures = Decoded(folder), []
    for index in range(_PICTURES):
        name = f"noise {index}"
        decoded.add(name, np.random.default_rng(index).integers(0, 256, (321, 481, 3), np.uint8))
        pictures.append(Picture(Path(name), 321, 481, name, decoded))
    single = work.recipe.model_copy(update={"schedule": Single(scale=work.scale)})
    chosen = partial(scale_at, recipe=single)
    return PatchSampler(pictures, chosen, {work.scale: work.patch}, work.recipe.batch, seed=0)
