"""A training run's folder: what is kept there, and how a run goes on from it.

recipe.json             the resolved recipe; the same command must bring the same one
state.safetensors       everything that the next step depends on
before.safetensors      the state of the save before that
best.safetensors        averaged weights with the best validation score so far
last.safetensors        averaged weights of the last save
log.jsonl, tensorboard/ what happened
"""

from __future__ import annotations

import copy
import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from prosr.adversary import Adversarial
from prosr.checkpoint import (
    Weights,
    build,
    build_discriminator,
    find,
    fit,
    load_state,
    load_state_header,
    save_state,
    save_weights,
    weights_hash,
)
from prosr.config import Recipe, recipe_from
from prosr.errors import CheckpointError, ConfigError
from prosr.files import write_bytes, write_text
from prosr.legacy.features import open_features
from prosr.nets.generator import ProSR
from prosr.nets.laplacian import LaplacianPyramid
from prosr.training.adversarial import Adversary
from prosr.training.curriculum import stage_at
from prosr.training.muon import Muon

STATE, BEFORE = "state.safetensors", "before.safetensors"

_T = TypeVar("_T")

_DAMAGED = f"it is damaged: put {BEFORE} in its place, or use another --run folder"


@dataclass
class Progress:
    """How far a run has come.

    `seconds` is the time spent on steps, without validation. `best` is (number of scales,
    mean PSNR) of best.safetensors, `skipped` the number of steps that were left out because
    their loss or gradient was not finite, `left_out` those of them since the last good step.
    `useless` counts for each scale its last steps in which a discriminator was of no use,
    `grown` are the scales that the weights which the run started from had been trained at.
    `precision` is what the run computes in; `pictures`, `started` and `features` tell one set
    of training pictures, of first weights and of a features' net from another. All four are
    empty in states of older versions.
    """

    step: int = 0
    seconds: float = 0.0
    best: tuple[int, float] = (0, 0.0)
    skipped: int = 0
    left_out: int = 0
    useless: dict[str, int] = field(default_factory=dict)
    grown: tuple[int, ...] = ()
    precision: str = ""
    pictures: str = ""
    started: str = ""
    features: str = ""


@dataclass
class Run:
    """One run: its folder, its recipe and everything that its state file holds.

    `first` are the weights that it started from, `adversary` what it is trained against,
    if anything.
    """

    folder: Path
    recipe: Recipe
    net: nn.Module
    average: nn.Module
    optimizer: Optimizer
    card: dict[str, Any]
    first: Weights | None = None
    adversary: Adversary | None = None
    progress: Progress = field(default_factory=Progress)

    @property
    def finished(self) -> bool:
        return self.progress.step >= self.recipe.steps

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step, the adversary's in proportion."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        if self.adversary is not None:
            own = self.adversary.settings.learning_rate
            for group in self.adversary.optimizer.param_groups:
                group["lr"] = own * rate / self.recipe.learning_rate

    def open(self, scales: Sequence[int]) -> None:
        """Begin with scales that the curriculum opens (3.4), low ones first.

        A scale that is grown keeps its entrance; only an adversary begins with it.
        """
        for scale in (scale for scale in scales if scale not in self.progress.grown):
            for net in (self.net, self.average):
                cast(ProSR | LaplacianPyramid, net).open(scale)

    def save(self) -> None:
        """Write the state, then the averaged weights, each atomically.

        Nothing is written after a step that was left out: the steps since the last good one
        would be left out again.
        """
        if self.progress.left_out and not self.finished:
            return
        tensors: dict[str, Tensor] = {}
        for group, net in self.networks().items():
            tensors |= {f"{group}.{name}": value for name, value in net.state_dict().items()}
        for group, (net, optimizer) in self.optimizers().items():
            for name, parameter in net.named_parameters():
                for key, value in optimizer.state[parameter].items():
                    tensors[f"{group}.{key}.{name}"] = value
        path = self.folder / STATE
        if path.exists():
            write_bytes(self.folder / BEFORE, path.read_bytes())
        save_state(path, tensors, {"progress": json.dumps(asdict(self.progress))})
        self.export("last")

    def retreat(self) -> None:
        """Go back to the state before the last one, if no step since that one was finite.

        Its parameters led to nothing but steps that diverge.
        """
        before, good = self.folder / BEFORE, self.progress.step - self.progress.left_out
        if before.exists() and stored_progress(self.folder).step == good:
            os.replace(before, self.folder / STATE)

    def networks(self) -> dict[str, nn.Module]:
        """Every network, by its name in the state file."""
        mine: dict[str, nn.Module] = {"net": self.net, "average": self.average}
        return mine | ({"discriminator": self.adversary.net} if self.adversary else {})

    def optimizers(self) -> dict[str, tuple[nn.Module, Optimizer]]:
        """Every optimizer with its network, by its name in the state file."""
        mine: dict[str, tuple[nn.Module, Optimizer]]
        mine = {"optimizer": (self.net, self.optimizer)}
        if self.adversary is None:
            return mine
        theirs = self.adversary.net, self.adversary.optimizer
        return mine | {"discriminator_optimizer": theirs}

    def export(self, name: str) -> None:
        """Write the averaged weights as a weights file with a model card."""
        open_now = stage_at(max(self.progress.step - 1, 0), self.recipe).scales
        card = self.card | {
            "scales": sorted({*self.progress.grown, *open_now}),
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

    A run that starts takes its first parameters from the model or weights file `start_from`,
    if there is one. The scales that these were trained at, all unless their card says
    otherwise, are not opened or blended in again. Raises `ConfigError` if the folder holds the
    state of a run of another recipe, and `CheckpointError` if its state cannot be read.
    """
    first = find(start_from) if start_from is not None else None
    _keep_recipe(folder, recipe)
    for name in (STATE, BEFORE, "last.safetensors", "best.safetensors"):
        # What a process that was killed was writing.
        for half in folder.glob(f".{Path(name).stem}.{'[0-9a-f]' * 8}.safetensors"):
            half.unlink(missing_ok=True)
    torch.manual_seed(recipe.seed)
    net = _placed(build(recipe.net), device)
    if first is not None:
        fit(net, first.net.state_dict(), str(start_from))
        before = sum(first.card.get(key, 0.0) for key in ("hours", "hours before"))
        card = card | {"started from": first.sha256, "hours before": round(before, 2)}
        if recipe.adversarial is not None:
            itself = {"model": first.card.get("model", first.name), "sha256": first.sha256}
            card = card | {"partner": first.card.get("partner", itself)}
    average = copy.deepcopy(net).eval().requires_grad_(False)
    run = Run(folder, recipe, net, average, _optimizer(net, recipe), card, first)
    if first is not None:
        run.progress.grown = tuple(first.card.get("scales", recipe.net.scales))
        run.progress.started = first.sha256
    if recipe.adversarial is not None:
        run.adversary = _open_adversary(recipe.adversarial, recipe.betas, device)
        run.progress.features = weights_hash(run.adversary.features.state_dict())
        run.card = run.card | {"features": run.progress.features}
    if (folder / STATE).exists():
        _restore(run, device)
    return run


def _optimizer(net: nn.Module, recipe: Recipe) -> Optimizer:
    if recipe.muon is None:
        return Adam(net.parameters(), recipe.learning_rate, betas=recipe.betas)
    return Muon(net.parameters(), recipe.learning_rate, recipe.muon, recipe.betas)


def _open_adversary(
    settings: Adversarial, betas: tuple[float, float], device: torch.device
) -> Adversary:
    net = _placed(build_discriminator(settings.net), device)
    optimizer = Adam(net.parameters(), settings.learning_rate, betas=betas)
    features = _placed(open_features(settings.features, settings.file), device)
    return Adversary(settings, net, optimizer, features, net, optimizer)


def _placed(net: nn.Module, device: torch.device) -> nn.Module:
    return net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _keep_recipe(folder: Path, recipe: Recipe) -> None:
    path = folder / "recipe.json"
    ours = json.loads(recipe.model_dump_json())
    if not (folder / STATE).exists():
        write_text(path, json.dumps(ours, indent=2) + "\n")
        return
    try:
        # A key that an older version did not write yet has its default.
        stored = recipe_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable ({error}); use another --run folder") from error
    theirs = json.loads(stored.model_dump_json())
    for key, (before, now) in _differences(theirs, ours).items():
        # What is in the features' file counts, not where it is; and a machine without
        # bfloat16 may go on with what another has begun, in float32.
        if key not in ("adversarial.file", "precision"):
            raise ConfigError(
                f"{folder} holds a run with {key} = {before}, this recipe says {now}; "
                "use the same recipe or another --run folder"
            )


def _differences(one: Any, other: Any, place: str = "") -> dict[str, tuple[Any, Any]]:
    """What differs between two tables within tables, by the place where it stands."""
    if not (isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()):
        return {} if one == other else {place: (one, other)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in one:
        found |= _differences(one[key], other[key], f"{place}.{key}" if place else key)
    return found


def stored_progress(folder: Path) -> Progress:
    """How far the run in a folder has come; nowhere where there is none.

    Raises `CheckpointError` for a state that cannot be read.
    """
    path = folder / STATE
    return _progress(path, _loaded(load_state_header, path)) if path.exists() else Progress()


def _loaded(load: Callable[[Path], _T], path: Path) -> _T:
    try:
        return load(path)
    except CheckpointError as error:
        # What the system refuses may be whole.
        if isinstance(error.__cause__, OSError):
            raise
        raise CheckpointError(f"{error}; {_DAMAGED}") from error


def _progress(path: Path, header: Mapping[str, str]) -> Progress:
    try:
        stored = json.loads(header["progress"])
        if isinstance(stored.get("useless"), int):
            # Older versions had one count for all scales.
            del stored["useless"]
        return Progress(**stored)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: does not say how far the run is; {_DAMAGED}") from error


def _restore(run: Run, device: torch.device) -> None:
    path = run.folder / STATE
    tensors, header = _loaded(load_state, path)
    groups: dict[str, dict[str, Tensor]] = {}
    for name, value in tensors.items():
        group, _, rest = name.partition(".")
        groups.setdefault(group, {})[rest] = value
    for group, net in run.networks().items():
        fit(net, groups.get(group, {}), f"{path} ({group})")
    for group, (net, optimizer) in run.optimizers().items():
        parameters = dict(net.named_parameters())
        for name, value in groups.get(group, {}).items():
            key, _, parameter = name.partition(".")
            if parameter not in parameters:
                raise CheckpointError(f"{path}: has optimizer state for an unknown {parameter}")
            layout = torch.channels_last if value.dim() == 4 else torch.preserve_format
            # Adam counts its steps on the CPU whatever the device is.
            target = torch.device("cpu") if key == "step" else device
            moved = value.to(target, memory_format=layout)
            optimizer.state[parameters[parameter]][key] = moved
        whole = {"step", "exp_avg", "exp_avg_sq"}, {"momentum"}
        if any(state.keys() not in whole for state in optimizer.state.values()):
            raise CheckpointError(f"{path}: lacks a part of the optimizer's state; {_DAMAGED}")
    progress = _progress(path, header)
    (scales, psnr), grown = progress.best, progress.grown
    if grown and run.first is None:
        raise ConfigError(f"{run.folder}: this run began with --start-from; give it again")
    _check_same("--start-from weights", run, progress.started, run.progress.started)
    _check_same("weights of the features' net", run, progress.features, run.progress.features)
    run.progress = replace(
        progress,
        best=(scales, psnr),
        grown=tuple(grown),
        started=run.progress.started,
        features=run.progress.features,
    )


def _check_same(what: str, run: Run, before: str, now: str) -> None:
    """Refuse to go on with other files than the run began with."""
    if before not in ("", now):
        raise ConfigError(
            f"{run.folder}: this run began with other {what} ({before[:12]}…, not {now[:12]}…); "
            "give those again or use another --run folder"
        )
