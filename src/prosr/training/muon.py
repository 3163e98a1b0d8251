"""Muon: momentum made orthogonal, for the kernels between features; Adam for all else."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any, cast

import torch
from torch import Tensor
from torch.optim import Optimizer

_COLOURS = 3
_MOMENTUM, _EPSILON = 0.95, 1e-8
_DECAY = 0.01
"""Orthogonal steps never get smaller by themselves, so that without it kernels would grow with the
root of the number of steps."""

_NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
_ITERATIONS = 5


class Muon(Optimizer):
    """Adam, but kernels between features take steps in which all directions count alike.

    Such a kernel, seen as a matrix [O, I·k·k], moves along its averaged gradient with every
    singular value brought near 1, times √(O / Ik²) where that is above 1, and decays. Kernels
    from or to colours, biases and whatever has not four axes take Adam's steps. `rate` and
    `muon` are the two learning rates. Jordan et al., Muon: An optimizer for hidden layers (2024).
    """

    def __init__(
        self, parameters: Iterable[Tensor], rate: float, muon: float, betas: tuple[float, float]
    ) -> None:
        kernels: list[Tensor] = []
        others: list[Tensor] = []
        for parameter in parameters:
            inner = parameter.dim() == 4 and min(parameter.shape[:2]) > _COLOURS
            (kernels if inner else others).append(parameter)
        super().__init__(
            [
                {"params": others, "share": 1.0, "orthogonal": False},
                {"params": kernels, "lr": muon, "share": muon / rate, "orthogonal": True},
            ],
            {"lr": rate, "betas": betas},
        )

    @torch.no_grad()
    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        """Take a step for every parameter that has a gradient."""
        for group in self.param_groups:
            moved = [p for p in group["params"] if p.grad is not None]
            if group["orthogonal"]:
                self._orthogonal_step(moved, group["lr"])
            else:
                for parameter in moved:
                    self._adam_step(parameter, group["lr"], *group["betas"])

    def _orthogonal_step(self, kernels: list[Tensor], rate: float) -> None:
        alike: dict[tuple[int, int], list[tuple[Tensor, Tensor]]] = {}
        for kernel in kernels:
            gradient, state = cast(Tensor, kernel.grad), self.state[kernel]
            if not state:
                state["momentum"] = torch.zeros_like(kernel)
            momentum = state["momentum"].lerp_(gradient, 1 - _MOMENTUM)
            direction = gradient.lerp(momentum, _MOMENTUM).flatten(1)
            rows, columns = direction.shape
            alike.setdefault((rows, columns), []).append((kernel, direction))
        for (rows, columns), pairs in alike.items():
            steps = orthogonal(torch.stack([direction for _, direction in pairs]))
            scale = -rate * math.sqrt(max(1.0, rows / columns))
            for (kernel, _), step in zip(pairs, steps, strict=True):
                kernel.mul_(1 - rate * _DECAY).add_(step.view(kernel.shape), alpha=scale)

    def _adam_step(self, parameter: Tensor, rate: float, beta1: float, beta2: float) -> None:
        gradient, state = cast(Tensor, parameter.grad), self.state[parameter]
        if not state:
            state["step"] = torch.zeros(())
            state["exp_avg"] = torch.zeros_like(parameter)
            state["exp_avg_sq"] = torch.zeros_like(parameter)
        state["step"] += 1
        count = state["step"].item()
        mean = state["exp_avg"].lerp_(gradient, 1 - beta1)
        square = state["exp_avg_sq"].lerp_(gradient.square(), 1 - beta2)
        root = square.sqrt().div_(math.sqrt(1 - beta2**count)).add_(_EPSILON)
        parameter.addcdiv_(mean, root, value=-rate / (1 - beta1**count))


def orthogonal(matrices: Tensor) -> Tensor:
    """Bring all singular values of matrices, [N, R, C], near 1, by Newton–Schulz iterations."""
    a, b, c = _NEWTON_SCHULZ
    wide = matrices.shape[1] <= matrices.shape[2]
    x: Tensor = matrices if wide else matrices.mT
    x = x / (torch.linalg.matrix_norm(x, keepdim=True) + 1e-7)
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = a * x + (b * gram + c * gram @ gram) @ x
    return x if wide else x.mT
