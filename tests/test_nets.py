"""What every network of the paper promises, whatever it is made of."""

import pytest
import torch
from torch import nn

from prosr.checkpoint import build
from prosr.config import NetConfig, net_config, presets
from prosr.errors import ConfigError
from prosr.inference.tiling import tiled
from prosr.layouts import SCALES, DirectConfig
from prosr.nets.baselines import PRESETS

OWN = {name: config for name, config in presets().items() if name not in PRESETS}
CASES = [(name, scale) for name, config in OWN.items() for scale in config.scales]

NARROW: dict[str, NetConfig] = {
    name: net_config({**config.model_dump(), "features": 4, "growth": growth, "bottleneck": 2})
    for name, config in OWN.items()
    if name.startswith("table") and name != "table1-very-deep"
    for growth in (2 if isinstance(config, DirectConfig) else (2,) * len(config.scales),)
}
NARROW_CASES = [(name, scale) for name, config in NARROW.items() for scale in config.scales]


def narrow(name: str) -> nn.Module:
    """A preset's relative in evaluation mode, its batch normalization not the identity."""
    torch.manual_seed(0)
    net = build(NARROW[name]).double().eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.bias)
            nn.init.normal_(module.running_mean)  # type: ignore[arg-type]
    return net


@pytest.mark.parametrize("name,scale", CASES)
def test_every_preset_gives_its_scales_from_one_pixel_on(name: str, scale: int) -> None:
    net = build(presets()[name]).eval()
    with torch.inference_mode():
        for height, width in ((1, 1), (1, 3), (2, 1)):
            y_hat = net(torch.rand(1, 3, height, width), scale)
            assert y_hat.shape == (1, 3, scale * height, scale * width)
            assert torch.isfinite(y_hat).all()


@pytest.mark.parametrize("name", OWN)
def test_every_preset_refuses_other_scales_and_alphas(name: str) -> None:
    net, config = build(presets()[name]), presets()[name]
    x = torch.rand(1, 3, 2, 2)
    for scale in {3, *SCALES} - set(config.scales):
        with pytest.raises(ConfigError, match=f"scale {scale} is not one of"):
            net(x, scale)
    with pytest.raises(ConfigError, match=r"alpha 0\.5"):
        net(x, config.scales[0], 0.5)


@pytest.mark.parametrize("name,scale", NARROW_CASES)
def test_tiled_equals_whole(name: str, scale: int) -> None:
    net = narrow(name)
    radius: int = net.receptive_radius(scale)  # type: ignore[operator]
    side = 2 * radius + 4
    x = torch.rand(1, 3, 3, side + 7, dtype=torch.float64)
    with torch.inference_mode():
        pieces = tiled(lambda part, s: net(part, s), x, scale, (3, side), radius)
        torch.testing.assert_close(pieces, net(x, scale), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name,scale", NARROW_CASES)
def test_multiply_adds_are_those_of_the_layers_as_drawn(
    name: str, scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prosr.nets.blocks.FOLD", False)
    net = narrow(name)
    counted = 0

    def count(module: nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal counted
        assert isinstance(module, nn.Conv2d)
        counted += module.weight.numel() * output.shape[-1] * output.shape[-2]

    for module in net.modules():
        if isinstance(module, nn.Conv2d):
            module.register_forward_hook(count)
    net(torch.rand(1, 3, 4, 4, dtype=torch.float64), scale)
    assert counted == 16 * net.multiply_adds(scale)  # type: ignore[operator]
