"""The folder of a training run: what it contains, and how to resume from it.

recipe.json             the complete recipe; to resume, the same one must be given
state.safetensors       everything that the next step depends on
before.safetensors      the state of the save before
best.safetensors        averaged weights with the best validation score so far
last.safetensors        averaged weights of the last save
log.jsonl, tensorboard/ losses, learning rate and scores
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
from torch.optim import Adam

from prosr.checkpoints.features import open_features
from prosr.checkpoints.weights import (
    Weights,
    find,
    fit,
    load_state,
    load_state_header,
    save_state,
    save_weights,
    weights_hash,
)
from prosr.config import Adversarial, Recipe, recipe_from
from prosr.errors import CheckpointError, ConfigError
from prosr.files import write_bytes, write_text
from prosr.nets.build import build, build_discriminator
from prosr.nets.generator import ProSR
from prosr.nets.laplacian import LaplacianPyramid
from prosr.nets.network import Network
from prosr.scales import Scale
from prosr.training.adversarial import Adversary
from prosr.training.curriculum import stage_at

STATE, BEFORE = "state.safetensors", "before.safetensors"

_T = TypeVar("_T")
AnyModule = TypeVar("AnyModule", bound=nn.Module)

_DAMAGED = f"it is damaged: put {BEFORE} in its place, or use another --run folder"
_OLD_KEYS = {"grown": "pretrained", "left_out": "skipped_in_a_row"}
"""Names of `RunProgress` fields in the states of older versions."""


@dataclass
class RunProgress:
    """How far a run has come, stored with its state.

    `seconds` is the time of all steps, without validation. `best` is the number of scales
    and the mean PSNR of best.safetensors. `skipped` counts steps that diverged,
    `skipped_in_a_row` those since the last good step. `useless` counts, for each scale, the
    last consecutive steps with a useless discriminator. `pretrained` are the scales that the
    first weights were trained at. `precision` is that of all steps. `pictures`, `started` and
    `features` are hashes of the training pictures, of the first weights and of the feature
    network. Fields that older versions did not write keep their defaults.
    """

    step: int = 0
    seconds: float = 0.0
    best: tuple[int, float] = (0, 0.0)
    skipped: int = 0
    skipped_in_a_row: int = 0
    useless: dict[str, int] = field(default_factory=dict)
    pretrained: tuple[Scale, ...] = ()
    precision: str = ""
    pictures: str = ""
    started: str = ""
    features: str = ""


@dataclass
class Run:
    """A run's folder, its recipe, and everything in its state file.

    `first` are the weights that it started from, if any.
    """

    folder: Path
    recipe: Recipe
    net: Network
    average: Network
    optimizer: Adam
    card: dict[str, Any]
    first: Weights | None = None
    adversary: Adversary | None = None
    progress: RunProgress = field(default_factory=RunProgress)

    @property
    def finished(self) -> bool:
        return self.progress.step >= self.recipe.steps

    def set_rate(self, rate: float) -> None:
        """Set the learning rate of the next step, the discriminator's in proportion."""
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        if self.adversary is not None:
            own = self.adversary.settings.learning_rate
            for group in self.adversary.optimizer.param_groups:
                group["lr"] = own * rate / self.recipe.learning_rate

    def open_scales(self, scales: Sequence[Scale]) -> None:
        """Initialize scales that the curriculum opens, from the scale below (3.4).

        Pretrained scales keep their parameters.
        """
        for scale in scales:
            if scale not in self.progress.pretrained:
                for net in (self.net, self.average):
                    cast(ProSR | LaplacianPyramid, net).open(scale)

    def save(self) -> None:
        """Write the state, then the averaged weights, each atomically.

        After a skipped step, do nothing: a resumed run would skip the same steps again.
        """
        if self.progress.skipped_in_a_row and not self.finished:
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

    def restore_good_state(self) -> None:
        """Restore the save before the last one if all steps since the last one diverged."""
        before = self.folder / BEFORE
        last_good = self.progress.step - self.progress.skipped_in_a_row
        if before.exists() and stored_progress(self.folder).step == last_good:
            os.replace(before, self.folder / STATE)

    def keep_if_best(self, psnr: Mapping[Scale, float]) -> bool:
        """Export the averaged weights as best.safetensors if they are; more scales beat fewer.

        Runs with a discriminator have no best weights, because training lowers their PSNR.
        """
        score = (len(psnr), sum(psnr.values()) / len(psnr))
        if self.adversary is not None or score <= self.progress.best:
            return False
        self.progress.best = score
        self.export("best")
        return True

    def export(self, name: str) -> None:
        """Write the averaged weights as a weights file with a model card."""
        open_now = stage_at(max(self.progress.step - 1, 0), self.recipe).scales
        card = self.card | {
            "scales": sorted({*self.progress.pretrained, *open_now}),
            "steps": self.progress.step,
            "hours": round(self.progress.seconds / 3600, 2),
        }
        path = self.folder / f"{name}.safetensors"
        save_weights(path, self.average, self.recipe.net, card)

    def networks(self) -> dict[str, nn.Module]:
        """All trained networks, by their names in the state file."""
        networks: dict[str, nn.Module] = {"net": self.net, "average": self.average}
        return networks | ({"discriminator": self.adversary.net} if self.adversary else {})

    def optimizers(self) -> dict[str, tuple[nn.Module, Adam]]:
        """All optimizers with their networks, by their names in the state file."""
        optimizers: dict[str, tuple[nn.Module, Adam]] = {"optimizer": (self.net, self.optimizer)}
        if self.adversary is not None:
            pair = self.adversary.net, self.adversary.optimizer
            optimizers["discriminator_optimizer"] = pair
        return optimizers


def open_run(
    folder: Path,
    recipe: Recipe,
    card: dict[str, Any],
    device: torch.device,
    start_from: Path | None = None,
) -> Run:
    """Start a run in `folder`, or resume the one there.

    A new run starts from the parameters of `start_from`, a model or weights file, if given.
    Scales that these were trained at (all, unless their card says otherwise) are not opened
    or blended in again. Raises `ConfigError` if the folder has the state of another recipe or
    other first weights, and `CheckpointError` if a file cannot be read.
    """
    first = find(start_from) if start_from is not None else None
    _keep_recipe(folder, recipe)
    _remove_temporary_files(folder)
    torch.manual_seed(recipe.seed)
    net = _on_device(build(recipe.net), device)
    if first is not None:
        fit(net, first.net.state_dict(), str(start_from))
        card = card | _card_of_first(first, recipe)
    average = copy.deepcopy(net).eval().requires_grad_(False)
    optimizer = Adam(net.parameters(), recipe.learning_rate, betas=recipe.betas)
    run = Run(folder, recipe, net, average, optimizer, card, first)
    if first is not None:
        run.progress.pretrained = tuple(first.card.get("scales", recipe.net.scales))
        run.progress.started = first.sha256
    if recipe.adversarial is not None:
        run.adversary = _open_adversary(recipe.adversarial, recipe.betas, device)
        run.progress.features = weights_hash(run.adversary.features.state_dict())
        run.card = run.card | {"features": run.progress.features}
    if (folder / STATE).exists():
        _restore(run, device)
    return run


def _card_of_first(first: Weights, recipe: Recipe) -> dict[str, Any]:
    """Entries of a run's card about the weights that it started from."""
    hours = sum(first.card.get(key, 0.0) for key in ("hours", "hours before"))
    card = {"started from": first.sha256, "hours before": round(hours, 2)}
    if recipe.adversarial is not None:
        itself = {"model": first.card.get("model", first.name), "sha256": first.sha256}
        card["partner"] = first.card.get("partner", itself)
    return card


def _open_adversary(
    settings: Adversarial, betas: tuple[float, float], device: torch.device
) -> Adversary:
    net = _on_device(build_discriminator(settings.net), device)
    optimizer = Adam(net.parameters(), settings.learning_rate, betas=betas)
    features = _on_device(open_features(settings.features, settings.file), device)
    return Adversary(settings, net, optimizer, features)


def _on_device(net: AnyModule, device: torch.device) -> AnyModule:
    return net.to(device, memory_format=torch.channels_last)  # type: ignore[call-overload, no-any-return]


def _remove_temporary_files(folder: Path) -> None:
    """Remove the half-written files of a killed process."""
    for name in (STATE, BEFORE, "last.safetensors", "best.safetensors"):
        for path in folder.glob(f".{Path(name).stem}.{'[0-9a-f]' * 8}.safetensors"):
            path.unlink(missing_ok=True)


def _keep_recipe(folder: Path, recipe: Recipe) -> None:
    """Write the recipe of a new run, or raise `ConfigError` if a resumed run has another one."""
    path = folder / "recipe.json"
    ours = json.loads(recipe.model_dump_json())
    if not (folder / STATE).exists():
        write_text(path, json.dumps(ours, indent=2) + "\n")
        return
    try:
        # Keys that an older version did not write get their defaults.
        stored = recipe_from(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not readable ({error}); use another --run folder") from error
    theirs = json.loads(stored.model_dump_json())
    for key, (before, now) in _differences(theirs, ours).items():
        # The features' file may move; its contents are compared by their hash.
        if key != "adversarial.file":
            raise ConfigError(
                f"{folder} holds a run with {key} = {before}, this recipe says {now}; "
                "use the same recipe or another --run folder"
            )


def _differences(one: Any, other: Any, place: str = "") -> dict[str, tuple[Any, Any]]:
    """Values that differ between two nested tables, by their dotted keys."""
    if not (isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys()):
        return {} if one == other else {place: (one, other)}
    found: dict[str, tuple[Any, Any]] = {}
    for key in one:
        found |= _differences(one[key], other[key], f"{place}.{key}" if place else key)
    return found


def stored_progress(folder: Path) -> RunProgress:
    """Progress of the run in `folder`, or that of a new run if there is none.

    Raises `CheckpointError` if the state cannot be read.
    """
    path = folder / STATE
    if not path.exists():
        return RunProgress()
    header = _explain_damage(load_state_header, path)
    try:
        stored = {_OLD_KEYS.get(k, k): v for k, v in json.loads(header["progress"]).items()}
        if isinstance(stored.get("useless"), int):
            # Older versions had one count for all scales.
            del stored["useless"]
        progress = RunProgress(**stored)
        scales, psnr = progress.best
        return replace(progress, best=(scales, psnr), pretrained=tuple(progress.pretrained))
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path}: its progress is missing; {_DAMAGED}") from error


def _explain_damage(load: Callable[[Path], _T], path: Path) -> _T:
    """Call `load(path)`; if the file is damaged, add the remedy to the message."""
    try:
        return load(path)
    except CheckpointError as error:
        # A file that the system cannot open may still be whole.
        if isinstance(error.__cause__, OSError):
            raise
        raise CheckpointError(f"{error}; {_DAMAGED}") from error


def _restore(run: Run, device: torch.device) -> None:
    """Load the state of the run in the folder."""
    path, old, new = run.folder / STATE, stored_progress(run.folder), run.progress
    tensors, _ = _explain_damage(load_state, path)
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
            # Adam keeps its step counts on the CPU.
            target = torch.device("cpu") if key == "step" else device
            moved = value.to(target, memory_format=layout)
            optimizer.state[parameters[parameter]][key] = moved
        whole = {"step", "exp_avg", "exp_avg_sq"}
        if any(state.keys() != whole for state in optimizer.state.values()):
            raise CheckpointError(f"{path}: lacks a part of Adam's state; {_DAMAGED}")
    if old.pretrained and run.first is None:
        raise ConfigError(f"{run.folder}: this run began with --start-from; give it again")
    _check_same("--start-from weights", run, old.started, new.started)
    _check_same("weights of the feature network", run, old.features, new.features)
    run.progress = replace(old, started=new.started, features=new.features)


def _check_same(what: str, run: Run, before: str, now: str) -> None:
    """Raise `ConfigError` if a resumed run is given other files than it began with."""
    if before not in ("", now):
        raise ConfigError(
            f"{run.folder}: this run began with other {what} ({before[:12]}…, not {now[:12]}…); "
            "give those again or use another --run folder"
        )
