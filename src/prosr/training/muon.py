"""Optimizers of a run: Adam, and Muon for the kernels between features."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from prosr.config import Recipe

_COLOURS = 3
_MOMENTUM, _EPSILON = 0.95, 1e-8

_DECAY = 0.01
"""Weight decay of orthogonal steps. Their size is constant, so without it kernels would grow."""

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


def make_optimizer(net: nn.Module, recipe: Recipe) -> Optimizer:
    """The optimizer of a recipe's network; a group's rate is `share` times the recipe's."""
    if recipe.muon is None:
        return Adam(net.parameters(), recipe.learning_rate, betas=recipe.betas)
    return Muon(net.parameters(), recipe.learning_rate, recipe.muon, recipe.betas)


class Muon(Optimizer):
    """Adam, except that kernels between features take orthogonal steps.

    Such a kernel is a matrix, [O, I·k·k]. It moves along its averaged gradient with all singular
    values brought near 1, times √(O / Ik²) if that is above 1, and decays. Kernels from or to
    colours and all parameters that do not have four axes take Adam's steps. `rate` and `muon` are
    the two learning rates. Jordan et al., Muon: An optimizer for hidden layers (2024).
    """

    def __init__(
        self, parameters: Iterable[Tensor], rate: float, muon: float, betas: tuple[float, float]
    ) -> None:
        groups: dict[bool, list[Tensor]] = {False: [], True: []}
        for parameter in parameters:
            groups[parameter.dim() == 4 and min(parameter.shape[:2]) > _COLOURS].append(parameter)
        others = {"params": groups[False], "share": 1.0, "orthogonal": False}
        kernels = {"params": groups[True], "share": muon / rate, "orthogonal": True, "lr": muon}
        super().__init__([others, kernels], {"lr": rate, "betas": betas})

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step for every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [parameter for parameter in group["params"] if parameter.grad is not None]
            if group["orthogonal"]:
                self._orthogonal_step(moved, group["lr"])
            else:
                for parameter in moved:
                    self._adam_step(parameter, group["lr"], *group["betas"])

    def _orthogonal_step(self, kernels: list[Tensor], rate: float) -> None:
        shapes: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
        for kernel in kernels:
            gradient, state = cast(Tensor, kernel.grad), self.state[kernel]
            momentum = state.setdefault("momentum", torch.zeros_like(kernel))
            momentum.lerp_(gradient, 1 - _MOMENTUM)
            direction = gradient.lerp(momentum, _MOMENTUM).flatten(1)
            rows, columns = direction.shape
            shapes.setdefault((rows, columns), []).append((kernel, direction))
        for (rows, columns), pairs in shapes.items():
            steps = orthogonal(torch.stack([direction for _, direction in pairs]))
            size = rate * math.sqrt(max(1.0, rows / columns))
            for (kernel, _), step in zip(pairs, steps, strict=True):
                kernel.mul_(1 - rate * _DECAY).add_(step.view(kernel.shape), alpha=-size)

    def _adam_step(self, parameter: Tensor, rate: float, beta1: float, beta2: float) -> None:
        gradient, state = cast(Tensor, parameter.grad), self.state[parameter]
        if not state:
            zeros = {name: torch.zeros_like(parameter) for name in ("exp_avg", "exp_avg_sq")}
            state.update(zeros, step=torch.zeros(()))
        state["step"] += 1
        count = state["step"].item()
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].lerp_(gradient.square(), 1 - beta2)
        root = square.sqrt().div_(math.sqrt(1 - beta2**count)).add_(_EPSILON)
        parameter.addcdiv_(mean, root, value=-rate / (1 - beta1**count))


def orthogonal(matrices: Tensor) -> Tensor:
    """Bring all singular values of matrices, [N, R, C], near 1 by Newton–Schulz iterations."""
    a, b, c = _NEWTON_SCHULZ
    wide = matrices.shape[1] <= matrices.shape[2]
    x: Tensor = matrices if wide else matrices.mT
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT
