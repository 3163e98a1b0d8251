"""What every network promises, whatever it is made of."""

import copy

import numpy as np
import pytest
import torch
from torch import nn

from prosr.config import PRESETS
from prosr.errors import ConfigError
from prosr.inference.engines.torch import smallest_side
from prosr.inference.tiling import Block, tiled
from prosr.layouts import (
    BicubicConfig,
    DirectConfig,
    DRRNConfig,
    EDSRConfig,
    EnhanceNetConfig,
    LaplacianConfig,
    LapSRNConfig,
    MsLapSRNConfig,
    NetConfig,
    ProSRConfig,
    SRCNNConfig,
    SRDenseNetConfig,
    SRResNetConfig,
    VDSRConfig,
)
from prosr.nets.build import build
from prosr.nets.cost import find_radius
from prosr.nets.network import Network
from prosr.scales import SCALES, Scale

PYRAMID = {"features": 4, "growth": (2, 2, 2), "dcus": ((2, 1), (1,), (1,)), "bottleneck": 2}
TINY: list[NetConfig] = [
    BicubicConfig(),
    ProSRConfig.model_validate(PYRAMID),
    ProSRConfig.model_validate(
        PYRAMID
        | {"bottleneck": 1, "growth": (4, 4, 4), "upsampled": (3, 2, 1), "padding": "zeros"}
        | {"residual": True, "value_range": 1, "back_projections": 1}
    ),
    LaplacianConfig.model_validate(PYRAMID | {"max_features": 5, "level_compression": 0.6}),
    *(DirectConfig(scale=s, features=4, growth=2, dcus=(2, 1)) for s in SCALES),
    DirectConfig(features=4, growth=2, dcus=(2,), batch_norm=True),
    SRCNNConfig(sizes=(5, 1, 3), widths=(3, 2)),
    VDSRConfig(layers=4, features=3),
    DRRNConfig(blocks=2, units=2, features=3),
    *(LapSRNConfig(levels=levels, depth=2, features=3) for levels in (1, 2, 3)),
    MsLapSRNConfig(depth=2, recursions=2, features=3),
    *(SRDenseNetConfig(scale=s, blocks=2, layers=2, growth=2, bottleneck=4) for s in SCALES),
    *(EDSRConfig(scale=s, blocks=2, features=3, residual_scale=0.5) for s in SCALES),
    *(SRResNetConfig(scale=s, blocks=2, features=3) for s in SCALES),
    *(EnhanceNetConfig(scale=s, blocks=2, features=3) for s in SCALES),
]
CASES = [
    pytest.param(layout, scale, id=f"{layout.kind}-{index}-x{scale}")
    for index, layout in enumerate(TINY)
    for scale in layout.scales
]


def tiny(layout: NetConfig) -> Network:
    """The network in float64; no bias or statistic is 0, because zeros would hide borders."""
    torch.manual_seed(0)
    net = build(layout).double().eval()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point() and not name.endswith("running_var"):
                value += 0.1 * torch.randn_like(value)
    return net


def reached(net: Network, scale: int, radius: int) -> int:
    """How far from a pixel in the middle its results depend on x, by gradients."""
    pixel = radius + 2
    side = 2 * pixel + 1
    x = torch.rand(1, 3, side, side, dtype=torch.float64, requires_grad=True)
    block = slice(pixel * scale, (pixel + 1) * scale)
    (gradient,) = torch.autograd.grad(net(x, scale)[..., block, block].abs().sum(), x)
    return int((gradient.abs().sum(dim=(0, 1)).nonzero() - pixel).abs().max())


def test_every_kind_of_layout_has_a_tiny_case() -> None:
    assert {type(layout) for layout in PRESETS.values()} == {type(layout) for layout in TINY}


@pytest.mark.parametrize("name", PRESETS)
def test_a_network_keeps_its_layout(name: str) -> None:
    with torch.device("meta"):
        net = build(PRESETS[name])
    assert net.layout == PRESETS[name]
    assert net.scales == PRESETS[name].scales
    assert net.parameter_count(net.scales[-1]) == sum(p.numel() for p in net.parameters())
    assert copy.deepcopy(net).layout == net.layout


@pytest.mark.parametrize(("layout", "scale"), CASES)
def test_every_size_is_enlarged_from_the_smallest_on(layout: NetConfig, scale: Scale) -> None:
    net = tiny(layout)
    # Engines repeat the pixel of a side that has one only; see `smallest_side`.
    least = smallest_side(net)
    with torch.inference_mode():
        for height, width in ((least, least), (least, 3), (4, 2)):
            y_hat = net(torch.rand(2, 3, height, width, dtype=torch.float64), scale)
            assert y_hat.shape == (2, 3, scale * height, scale * width)
            assert torch.isfinite(y_hat).all()


@pytest.mark.parametrize("layout", TINY, ids=lambda layout: layout.kind)
def test_other_scales_and_alphas_are_refused(layout: NetConfig) -> None:
    net, x = build(layout), torch.rand(1, 3, 4, 4)
    known = ", ".join(map(str, layout.scales))
    for scale in {3, *SCALES} - set(layout.scales):
        with pytest.raises(ConfigError, match=f"scale {scale} is not one of .*: {known}$"):
            net(x, scale)
        with pytest.raises(ConfigError, match=f"scale {scale} is not one of"):
            net.parameter_count(scale)
    with pytest.raises(ConfigError, match=r"alpha 0\.5 needs a level|alpha 0\.5: .*no levels"):
        net(x, layout.scales[0], 0.5)
    with pytest.raises(ConfigError, match=r"alpha 1\.5"):
        net(x, layout.scales[0], 1.5)


@pytest.mark.parametrize(("layout", "scale"), CASES)
def test_the_radius_is_that_of_gradients(layout: NetConfig, scale: Scale) -> None:
    net = tiny(layout)
    radius = find_radius(net, scale)
    assert reached(net, scale, radius) == radius


@pytest.mark.parametrize(("layout", "scale"), CASES)
def test_tiled_equals_whole(layout: NetConfig, scale: Scale) -> None:
    net = tiny(layout)
    radius = find_radius(net, scale)
    x = torch.rand(1, 3, 2 * radius + 9, 2 * radius + 6).numpy()

    def enlarge(part: Block, scale: int) -> Block:
        with torch.inference_mode():
            return net(torch.from_numpy(part).double(), scale).float().numpy()

    parts = tiled(enlarge, x, scale, (2 * radius + 4, 2 * radius + 4), radius)
    np.testing.assert_allclose(parts, enlarge(x, scale), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("layout", TINY, ids=lambda layout: layout.kind)
def test_training_reaches_every_parameter(layout: NetConfig) -> None:
    net, x = tiny(layout), torch.rand(1, 3, 6, 6, dtype=torch.float64, requires_grad=True)
    for scale in layout.scales:
        net(x, scale).square().sum().backward()  # type: ignore[no-untyped-call]
    assert not [name for name, p in net.named_parameters() if p.grad is None]
    assert nn.utils.parameters_to_vector([x.grad]).abs().sum() > 0  # type: ignore[list-item]
