"""The systems of the paper's tables: sizes as published, and the contract of every net."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prosr.checkpoints.weights import build
from prosr.config import PRESETS as OWN
from prosr.config import NetConfig, presets
from prosr.errors import ConfigError
from prosr.inference.tiling import tiled
from prosr.nets.baselines import PRESETS, SYSTEMS
from prosr.nets.baselines.drrn import DRRN, DRRNConfig
from prosr.nets.baselines.edsr import EDSRConfig
from prosr.nets.baselines.enhancenet import EnhanceNetConfig
from prosr.nets.baselines.lapsrn import LapSRNConfig
from prosr.nets.baselines.mslapsrn import MsLapSRN, MsLapSRNConfig
from prosr.nets.baselines.srcnn import SRCNNConfig
from prosr.nets.baselines.srdensenet import SRDenseNetConfig
from prosr.nets.baselines.srresnet import SRResNetConfig
from prosr.nets.baselines.vdsr import VDSRConfig
from prosr.nets.blocks import kernel_weights
from prosr.nets.luminance import LuminanceModel
from prosr.resample.tensors import upscale

TINY: dict[str, list[NetConfig]] = {
    "srcnn": [SRCNNConfig(sizes=(5, 1, 1), widths=(3, 2))],
    "vdsr": [VDSRConfig(layers=4, features=3)],
    "drrn": [DRRNConfig(blocks=2, units=2, features=3)],
    "lapsrn": [LapSRNConfig(levels=levels, depth=2, features=3) for levels in (1, 2, 3)],
    "mslapsrn": [MsLapSRNConfig(depth=2, recursions=2, features=3)],
    "srdensenet": [
        SRDenseNetConfig(scale=s, blocks=2, layers=2, growth=2, bottleneck=4) for s in (2, 4, 8)
    ],
    "edsr": [EDSRConfig(scale=s, blocks=2, features=3, residual_scale=0.5) for s in (2, 4, 8)],
    "srresnet": [SRResNetConfig(scale=s, blocks=2, features=3) for s in (2, 4, 8)],
    "enhancenet": [EnhanceNetConfig(scale=s, blocks=2, features=3) for s in (2, 4, 8)],
}
CASES = [
    pytest.param(config, scale, id=f"{kind}-{config.scales[-1]}-x{scale}")
    for kind, configs in TINY.items()
    for config in configs
    for scale in config.scales
]


def tiny(config: NetConfig) -> nn.Module:
    """The net in float64, with no bias or statistic left at 0: those hide borders."""
    torch.manual_seed(0)
    net = build(config).double().eval()
    with torch.no_grad():
        for name, value in net.state_dict().items():
            if value.is_floating_point() and not name.endswith("running_var"):
                value += 0.1 * torch.randn_like(value)
    return net


def call(net: nn.Module, method: str, scale: int) -> int:
    return int(getattr(net, method)(scale))


def test_every_system_has_a_tiny_case_and_a_preset() -> None:
    kinds = [system.layout.model_fields["kind"].default for system in SYSTEMS]
    assert sorted(TINY) == sorted(kinds)
    for system, kind in zip(SYSTEMS, kinds, strict=True):
        assert {config.kind for config in system.presets.values()} == {kind}
    assert PRESETS.items() <= presets().items()
    names = [name for system in SYSTEMS for name in system.presets] + [*OWN]
    assert len(set(names)) == len(names), "two systems have a preset of one name"


@pytest.mark.parametrize(
    ("name", "published"),
    [
        # In thousands, weights of kernels only, as these papers count: no biases, no batch norm.
        ("srcnn", 57),  # CARN (ECCV 2018), which has 9-5-5
        ("vdsr", 665),  # CARN; MS-LapSRN (TPAMI 2018)
        ("drrn", 297),  # DRRN (CVPR 2017); CARN
        ("lapsrn-x4", 813),  # CARN; MS-LapSRN cuts it to 812
        ("mslapsrn", 222),  # MS-LapSRN, for D5R8
        ("srresnet-x4", 1543),  # CARN
    ],
)
def test_published_counts_of_kernels(name: str, published: int) -> None:
    assert round(kernel_weights(on_no_device(name)) / 1000) == published


@pytest.mark.parametrize(
    ("name", "scale", "published"),
    [("srcnn", 4, 52.7), ("vdsr", 4, 612.6), ("drrn", 4, 6796.9), ("srresnet-x4", 4, 127.8)],
)
def test_published_multiply_adds(name: str, scale: int, published: float) -> None:
    # CARN (ECCV 2018): in 10⁹, for a result of 1280×720. It counts transposed
    # convolutions by the pixels that they give, so LapSRN cannot be compared.
    pixels = 1280 * 720 // scale**2
    count = pixels * call(on_no_device(name), "multiply_adds", scale)
    assert round(count / 1e9, 1) == published


@pytest.mark.parametrize(
    ("name", "published", "digits"),
    [
        # All parameters, in millions, as their authors count.
        ("edsr-x4", 43.1, 1),  # EDSR (CVPRW 2017), table 1, says 43 M; CARN 43.1 M
        ("edsr-baseline-x4", 1.52, 2),  # EDSR, table 1, says 1.5 M; CARN 1.52 M
        ("srresnet-x4", 1.55, 2),  # EDSR, table 1, says 1.5 M
    ],
)
def test_published_counts_of_parameters(name: str, published: float, digits: int) -> None:
    count = sum(p.numel() for p in on_no_device(name).parameters())
    assert round(count / 1e6, digits) == published


def on_no_device(name: str) -> nn.Module:
    with torch.device("meta"):
        return build(presets()[name])


def test_srdensenet_is_near_what_others_count() -> None:
    # CARN (ECCV 2018) says 2,015 k. The paper gives no count, and not every width.
    count = sum(p.numel() for p in on_no_device("srdensenet-x4").parameters())
    assert count == pytest.approx(2.015e6, rel=0.07)


def test_depths_are_the_papers() -> None:
    def layers(name: str) -> int:
        modules = on_no_device(name).modules()
        return sum(isinstance(m, nn.Conv2d | nn.ConvTranspose2d) for m in modules)

    assert layers("vdsr") == 20
    assert layers("srdensenet-x4") == 69
    drrn = on_no_device("drrn")
    assert isinstance(drrn, LuminanceModel)
    assert isinstance(drrn.net, DRRN)
    assert drrn.net.steps(2)[-1][1] == 52


@pytest.mark.parametrize(("config", "scale"), CASES)
def test_every_scale_from_one_pixel_on(config: NetConfig, scale: int) -> None:
    net = tiny(config)
    with torch.inference_mode():
        for height, width in ((1, 1), (1, 3), (4, 2)):
            y_hat = net(torch.rand(2, 3, height, width, dtype=torch.float64), scale)
            assert y_hat.shape == (2, 3, scale * height, scale * width)
            assert torch.isfinite(y_hat).all()


@pytest.mark.parametrize(("config", "scale"), CASES)
def test_multiply_adds_are_those_of_the_convolutions_that_run(
    config: NetConfig, scale: int
) -> None:
    net, counted = tiny(config), 0

    def count(module: nn.Module, inputs: tuple[torch.Tensor], output: torch.Tensor) -> None:
        nonlocal counted
        computed = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        counted += kernel_weights(module) * computed.shape[-1] * computed.shape[-2]

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count)
    net(torch.rand(1, 3, 4, 4, dtype=torch.float64), scale)
    assert counted == 16 * call(net, "multiply_adds", scale)


@pytest.mark.parametrize(("config", "scale"), CASES)
def test_receptive_radius_holds_and_is_tight(config: NetConfig, scale: int) -> None:
    net = tiny(config)
    radius = call(net, "receptive_radius", scale)
    pixel = radius + 2
    size = 2 * pixel + 1
    x = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    block = slice(pixel * scale, (pixel + 1) * scale)
    (gradient,) = torch.autograd.grad(net(x, scale)[..., block, block].abs().sum(), x)
    reached = int((gradient.abs().sum(dim=(0, 1)).nonzero() - pixel).abs().max())
    assert radius - 2 <= reached <= radius


@pytest.mark.parametrize(("config", "scale"), CASES)
def test_tiled_equals_whole(config: NetConfig, scale: int) -> None:
    net = tiny(config)
    halo = call(net, "receptive_radius", scale)
    x = torch.rand(1, 3, 2 * halo + 9, 2 * halo + 6, dtype=torch.float64)
    with torch.inference_mode():
        whole = net(x, scale)
        parts = tiled(net, x, scale, (2 * halo + 4, 2 * halo + 4), halo)
    error = (whole - parts).abs().max()
    assert error < 1e-5, f"largest error {error:.1e}"


@pytest.mark.parametrize(("config", "scale"), CASES)
def test_what_is_impossible_is_refused_by_name(config: NetConfig, scale: int) -> None:
    net = build(config)
    x = torch.rand(1, 3, 4, 4)
    known = ", ".join(map(str, config.scales))
    for other in {2, 3, 4, 8} - set(config.scales):
        message = rf"scale {other}: this \w+ does not have it; its scales? (is|are) {known}$"
        with pytest.raises(ConfigError, match=message):
            net(x, other)
        for method in ("receptive_radius", "multiply_adds"):
            with pytest.raises(ConfigError, match=message):
                call(net, method, other)
    with pytest.raises(ConfigError, match=r"alpha 0\.5: \w+ has no levels to blend"):
        net(x, scale, 0.5)


@pytest.mark.parametrize("kind", TINY)
def test_the_largest_scale_trains_every_parameter(kind: str) -> None:
    for config in TINY[kind]:
        net = tiny(config)
        y_hat = net(torch.rand(1, 3, 6, 6, dtype=torch.float64), config.scales[-1])
        y_hat.square().sum().backward()
        assert not [name for name, p in net.named_parameters() if p.grad is None]


def test_mslapsrn_shares_its_weights_over_levels_and_scales() -> None:
    net = MsLapSRN(depth=1, recursions=1, features=2, leak=0.2)
    used = []
    for scale in net.scales:
        net.zero_grad()
        net(torch.rand(1, 1, 4, 4), scale).sum().backward()
        used.append({name for name, p in net.named_parameters() if p.grad is not None})
    assert used[0] == used[1] == used[2] == {name for name, _ in net.named_parameters()}


def test_drrn_begins_with_the_bicubic() -> None:
    net, x = DRRN(blocks=1, units=3, features=4), torch.rand(1, 1, 5, 6)
    assert torch.equal(net(x, 2), upscale(x, 2))
