"""SRGAN's discriminator, layer by layer as in its figure."""

import torch
from torch import nn

from prosr.layouts import SRGANDiscriminatorConfig
from prosr.nets.baselines.srgan import SRGANDiscriminator


def test_it_has_the_layers_of_figure_4() -> None:
    net = SRGANDiscriminator(SRGANDiscriminatorConfig())
    convs = [m for m in net.modules() if isinstance(m, nn.Conv2d)]
    assert [c.out_channels for c in convs] == [64, 64, 128, 128, 256, 256, 512, 512]
    assert [c.stride[0] for c in convs] == [1, 2, 1, 2, 1, 2, 1, 2]
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 7
    kernels = sum(9 * c.in_channels * c.out_channels + c.out_channels for c in convs)
    norms = 2 * sum(c.out_channels for c in convs[1:])
    dense = 512 * 6 * 6 * 1024 + 1024 + 1024 + 1
    assert sum(p.numel() for p in net.parameters()) == kernels + norms + dense


def test_each_picture_gets_one_score_of_its_own() -> None:
    torch.manual_seed(0)
    net, y = SRGANDiscriminator(SRGANDiscriminatorConfig()).eval(), torch.rand(2, 3, 96, 96)
    scores = net(y)
    assert scores.shape == (2,)
    torch.testing.assert_close(scores[1:], net(y[1:]))
    scores.sum().backward()
    assert all(p.grad is not None for p in net.parameters())
