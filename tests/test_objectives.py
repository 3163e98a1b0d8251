"""One step for each kind of network."""

import copy

import numpy as np
import pytest
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray
from torch import Tensor, nn

from prosr.config import net_config, preset
from prosr.data.patches import Batch
from prosr.layouts import NetConfig
from prosr.nets.build import build
from prosr.nets.laplacian import LaplacianPyramid
from prosr.training.losses import pixel_loss, pyramid_loss
from prosr.training.objectives import (
    DivergedError,
    Learner,
    StepResult,
    pixel_step,
    update_average,
)

FABRIC = Fabric(accelerator="cpu", devices=1, precision="32-true")


def narrow(name: str) -> NetConfig:
    growth: object = 2 if name == "table1-block" else (2, 2, 2)
    return net_config({**preset(name).model_dump(), "features": 4, "growth": growth})


def made(name: str) -> nn.Module:
    torch.manual_seed(0)
    return build(narrow(name))


def batch() -> Batch:
    rng = np.random.default_rng(0)
    x, y = (rng.integers(0, 256, (2, side, side, 3), np.uint8) for side in (4, 16))
    return Batch(0, 4, x, y, ("a.png", "b.png"))


def step(net: nn.Module, batch: Batch, alpha: float = 1.0, norm: int = 1) -> StepResult:
    optimizer = torch.optim.Adam(net.parameters(), 1e-3)
    module, wrapped = FABRIC.setup(net, optimizer)
    if isinstance(net, LaplacianPyramid):
        module.mark_forward_method("estimates")
    return pixel_step(Learner(FABRIC, module, wrapped), batch, alpha, norm)


def unit(pixels: NDArray[np.uint8]) -> Tensor:
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float() / 255


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_a_prosr_is_trained_on_eq5(alpha: float) -> None:
    net, pairs = made("table1-curriculum"), batch()
    loss = pixel_loss(net(unit(pairs.x), 4, alpha), unit(pairs.y))
    assert step(net, pairs, alpha).loss == pytest.approx(255 * loss.item())


def test_a_prosr_is_trained_on_the_recipes_norm() -> None:
    net, pairs = made("table1-curriculum"), batch()
    loss = pixel_loss(net(unit(pairs.x), 4), unit(pairs.y), 2)
    assert step(net, pairs, norm=2).loss == pytest.approx(255 * loss.item())


@pytest.mark.parametrize("alpha", [1.0, 0.3])
def test_a_laplacian_pyramid_is_trained_on_eq7(alpha: float) -> None:
    net, pairs = made("table3-laplacian"), batch()
    assert isinstance(net, LaplacianPyramid)
    loss = pyramid_loss(net.estimates(unit(pairs.x), 4, alpha), unit(pairs.y))
    assert step(net, pairs, alpha).loss == pytest.approx(255 * loss.item())


def test_deep_supervision_trains_the_outputs_of_lower_levels() -> None:
    net = made("table3-laplacian")
    step(net, batch())
    trained = {name for name, p in net.named_parameters() if p.grad is not None}
    assert {"r.2.weight", "r.4.weight"} <= trained
    assert "parts.r.8.weight" not in trained


def test_a_step_that_diverges_restores_the_statistics() -> None:
    net = made("table1-block").train()
    with torch.no_grad():
        next(net.parameters()).fill_(torch.nan)
    before = {name: buffer.clone() for name, buffer in net.named_buffers()}
    with pytest.raises(DivergedError, match=r"a\.png, b\.png"):
        step(net, batch())
    assert all(torch.equal(buffer, before[name]) for name, buffer in net.named_buffers())


def test_the_statistics_are_averaged_too() -> None:
    net = made("table1-block").train()
    average = copy.deepcopy(net).eval().requires_grad_(False)
    old = {name: buffer.clone() for name, buffer in average.named_buffers()}
    step(net, batch())
    update_average(average, net, 0.75)
    for name, buffer in net.named_buffers():
        ours = average.get_buffer(name)
        whole = buffer if not buffer.is_floating_point() else 0.75 * old[name] + 0.25 * buffer
        torch.testing.assert_close(ours, whole)
