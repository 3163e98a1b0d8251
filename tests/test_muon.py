"""Muon: orthogonal steps for kernels between features, Adam's for everything else."""

import pytest
import torch
from torch import nn

from prosr.training.muon import Muon, orthogonal


@pytest.mark.parametrize("shape", [(3, 8, 8), (1, 8, 40), (2, 40, 8)])
def test_singular_values_come_near_1(shape: tuple[int, int, int]) -> None:
    matrices = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonal(matrices))
    assert values.min() > 0.5 and values.max() < 1.3


def test_biases_and_kernels_of_colours_take_adams_steps() -> None:
    torch.manual_seed(0)
    ours, theirs = nn.Conv2d(3, 5, 3), nn.Conv2d(3, 5, 3)
    theirs.load_state_dict(ours.state_dict())
    muon = Muon(ours.parameters(), 1e-2, 0.1, (0.9, 0.99))
    adam = torch.optim.Adam(theirs.parameters(), 1e-2, betas=(0.9, 0.99))
    for _ in range(5):
        x = torch.randn(1, 3, 6, 6)
        for net, optimizer in ((ours, muon), (theirs, adam)):
            optimizer.zero_grad()
            net(x).square().mean().backward()
            optimizer.step()
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict())


def test_a_kernel_between_features_moves_by_the_rate_in_every_direction() -> None:
    torch.manual_seed(0)
    conv = nn.Conv2d(4, 16, 1)
    before = conv.weight.detach().clone()
    optimizer = Muon(conv.parameters(), 1e-3, 0.02, (0.9, 0.99))
    conv(torch.randn(1, 4, 6, 6)).square().mean().backward()
    optimizer.step()
    moved = torch.linalg.svdvals((conv.weight - before).flatten(1)) / (0.02 * 2)
    assert moved.min() > 0.5 and moved.max() < 1.3


def test_a_parameter_without_gradient_stays() -> None:
    conv = nn.Conv2d(4, 4, 1)
    before = conv.weight.detach().clone()
    Muon(conv.parameters(), 1e-3, 0.02, (0.9, 0.99)).step()
    assert torch.equal(conv.weight, before)
