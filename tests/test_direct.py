"""Networks that upsample at their end: the first two rows of Table 1."""

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from prosr.config import PRESETS
from prosr.layouts import DirectConfig
from prosr.nets.blocks import DCU, NormalizedDenseLayer
from prosr.nets.build import build
from prosr.nets.direct import Direct
from prosr.resample.tensors import upscale
from prosr.scales import SCALES, Scale


@pytest.mark.parametrize("name,printed", [("table1-block", 8.22e6), ("table1-dcus", 1.79e6)])
def test_parameters_are_those_of_table_1(name: str, printed: float) -> None:
    net = build(PRESETS[name])
    assert net.parameter_count(4) == pytest.approx(printed, rel=0.003)
    assert sum(isinstance(m, nn.BatchNorm2d) for m in net.modules()) == 48 * (name[-1] == "k")


@pytest.mark.parametrize("name,dcus", [("table1-block", 1), ("table1-dcus", 4)])
def test_table_1_has_24_dense_layers(name: str, dcus: int) -> None:
    units = [m for m in build(PRESETS[name]).modules() if isinstance(m, DCU)]
    assert [len(unit.layers) for unit in units] == [24 // dcus] * dcus


@pytest.mark.parametrize("scale", SCALES)
def test_without_weights_it_is_the_bicubic(scale: Scale) -> None:
    net = Direct(DirectConfig(scale=scale, features=6, growth=4, dcus=(2, 1)))
    x = torch.rand(1, 3, 4, 5)
    for parameter in net.r.parameters():
        nn.init.zeros_(parameter)
    torch.testing.assert_close(net(x, scale), upscale(x, scale))


def test_original_dense_layer_is_bn_relu_conv_twice() -> None:
    layer = NormalizedDenseLayer(3, 5, 2, "zeros").eval()
    for norm in (layer.norm_in, layer.norm_squeezed):
        nn.init.normal_(norm.bias)
    x = torch.randn(1, 3, 4, 4)
    z = layer.squeeze(F.relu(layer.norm_in(x)))
    expected = layer.conv(F.relu(layer.norm_squeezed(z)))
    torch.testing.assert_close(layer(x), expected)
    assert layer.squeeze.kernel_size == (1, 1)
