"""A training run's folder: what is kept there, and how a run goes on from it.

recipe.json             the resolved recipe; the same command must bring the same one
state.safetensors       everything that the next step depends on
best.safetensors        averaged weights with the best validation score so far
last.safetensors        averaged weights of the last save
log.jsonl, tensorboard/ what happened
"""

from __future__ import annotations

import copy
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam

from prosr.checkpoint import build, fit, load_state, load_weights, save_state, save_weights
from prosr.config import Recipe, recipe_from
from prosr.errors import CheckpointError, ConfigError
from prosr.files import write_text
from prosr.nets.generator import ProSR
from prosr.nets.laplacian import LaplacianPyramid


@dataclass
class Progress:
    """How far a run has come.

    `seconds` is the time spent on steps, without validation. `best` is (number of scales,
    mean PSNR) of best.safetensors, `skipped` the number of steps that were left out because
    their loss or gradient was not finite.
    """

    step: int = 0
    seconds: float = 0.0
    best: tuple[int, float] = (0, 0.0)
    skipped: int = 0


@dataclass
class Run:
    """One run: its folder, its recipe and everything that its state file holds."""

    folder: Path
    recipe: Recipe
    net: nn.Module
    average: nn.Module
    optimizer: Adam
    card: dict[str, Any]
    progress: Progress = field(default_factory=Progress)

    @property
    def finished(self) -> bool:
        return self.progress.step >= self.recipe.steps

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate

    def open(self, scales: Sequence[int]) -> None:
        """Begin with scales that the curriculum opens (3.4), low ones first."""
        for scale in scales:
            for net in (self.net, self.average):
                cast(ProSR | LaplacianPyramid, net).open(scale)

    def save(self) -> None:
        """Write the state, then the averaged weights, each atomically."""
        names = dict(self.net.named_parameters())
        tensors: dict[str, Tensor] = {f"net.{n}": p for n, p in self.net.state_dict().items()}
        tensors |= {f"average.{n}": p for n, p in self.average.state_dict().items()}
        for name, parameter in names.items():
            for key, value in self.optimizer.state[parameter].items():
                tensors[f"optimizer.{key}.{name}"] = value
        path = self.folder / "state.safetensors"
        save_state(path, tensors, {"progress": json.dumps(asdict(self.progress))})
        self.export("last")

    def export(self, name: str) -> None:
        """Write the averaged weights as a weights file with a model card."""
        card = self.card | {
            "steps": self.progress.step,
            "hours": round(self.progress.seconds / 3600, 2),
        }
        path = self.folder / f"{name}.safetensors"
        save_weights(path, self.average, self.recipe.net, card)


def open_run(
    folder: Path,
    recipe: Recipe,
    card: dict[str, Any],
    device: torch.device,
    start_from: Path | None = None,
) -> Run:
    """Start a run in `folder`, or go on with the one there.

    A run that starts takes its first parameters from the weights file `start_from`, if
    there is one. Raises `ConfigError` if the folder holds a run of another recipe, and
    `CheckpointError` if its state cannot be read.
    """
    _keep_recipe(folder, recipe)
    torch.manual_seed(recipe.seed)
    net = build(recipe.net).to(device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    if start_from is not None:
        first = load_weights(start_from)
        fit(net, first.net.state_dict(), str(start_from))
        card = card | {"started from": first.sha256}
    average = copy.deepcopy(net).eval().requires_grad_(False)
    optimizer = Adam(net.parameters(), recipe.learning_rate, betas=recipe.betas)
    run = Run(folder, recipe, net, average, optimizer, card)
    if (folder / "state.safetensors").exists():
        _restore(run, device)
    return run


def _keep_recipe(folder: Path, recipe: Recipe) -> None:
    path = folder / "recipe.json"
    ours = json.loads(recipe.model_dump_json())
    if not path.exists():
        write_text(path, json.dumps(ours, indent=2) + "\n")
        return
    try:
        # A key that an older version did not write yet has its default.
        stored = recipe_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable ({error}); use another --run folder") from error
    theirs = json.loads(stored.model_dump_json())
    for key in ours:
        if theirs[key] != ours[key]:
            raise ConfigError(
                f"{folder} holds a run with {key} = {theirs[key]}, this recipe says "
                f"{ours[key]}; use the same recipe or another --run folder"
            )


def _restore(run: Run, device: torch.device) -> None:
    path = run.folder / "state.safetensors"
    tensors, header = load_state(path)
    groups: dict[str, dict[str, Tensor]] = {"net": {}, "average": {}, "optimizer": {}}
    for name, value in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = value
    fit(run.net, groups["net"], f"{path} (net)")
    fit(run.average, groups["average"], f"{path} (average)")
    parameters = dict(run.net.named_parameters())
    for name, value in groups["optimizer"].items():
        key, _, parameter = name.partition(".")
        if parameter not in parameters:
            raise CheckpointError(f"{path}: has optimizer state for an unknown {parameter}")
        layout = torch.channels_last if value.dim() == 4 else torch.preserve_format
        # Adam counts its steps on the CPU whatever the device is.
        target = torch.device("cpu") if key == "step" else device
        moved = value.to(target, memory_format=layout)
        run.optimizer.state[parameters[parameter]][key] = moved
    progress = Progress(**json.loads(header["progress"]))
    scales, psnr = progress.best
    run.progress = replace(progress, best=(scales, psnr))
