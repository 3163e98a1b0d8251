"""Costs are traced from the network: MACs, receptive radius and memory."""

import subprocess
import sys
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from prosr.config import PRESETS
from prosr.errors import ConfigError, InferenceError
from prosr.layouts import NetConfig, ProSRConfig
from prosr.nets.blocks import DCU
from prosr.nets.build import build
from prosr.nets.cost import Cost, find_radius, observe, trace
from prosr.scales import Scale
from test_nets import CASES, tiny

# Trained MACs for each input pixel.
MACS = {
    "bicubic": {2: 0, 4: 0, 8: 0},
    "prosr-l": {2: 9_468_000, 4: 25_289_440, 8: 59_084_000},
    "prosr-s": {2: 1_022_028, 4: 4_333_548, 8: 23_952_620},
    "prosr-xs": {2: 266_784, 4: 308_448, 8: 377_184},
    "progansr-xs": {2: 266_784, 4: 308_448, 8: 377_184},
    "table1-block": {4: 18_844_488},
    "table1-dcus": {4: 3_896_100},
    "table3-laplacian": {2: 968_040, 4: 4_725_432, 8: 20_389_608},
    "srcnn": {4: 914_944},
    "lapsrn-x4": {2: 408_400, 4: 2_039_696},
    "mslapsrn": {4: 7_569_296},
    "srdensenet-x4": {4: 3_945_600},
    "edsr-baseline-x4": {4: 1_983_168},
    "enhancenet-x4": {4: 2_093_760},
}
RADII = {
    "bicubic": {2: 2, 4: 2, 8: 2},
    "prosr-xs": {2: 15, 4: 16, 8: 17},
    "progansr-xs": {2: 21, 4: 23, 8: 23},
    "table1-dcus": {4: 28},
    "vdsr": {2: 12, 4: 7, 8: 4},
}


class Function(nn.Module):
    """A function of x as a network."""

    def __init__(self, function: Callable[[Tensor], Tensor]) -> None:
        super().__init__()
        self.function = function

    def forward(self, x: Tensor, scale: int) -> Tensor:
        return self.function(x)


class Stranger(nn.Module):
    """A network of another project, with a constant that is neither parameter nor buffer."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.utils.parametrizations.weight_norm(nn.Conv2d(3, 12, 3, padding=1))
        self.norm = nn.BatchNorm2d(12)
        self.mean = torch.full((1, 3, 1, 1), 0.5)
        self.register_buffer("blur", torch.ones(3, 1, 5, 5) / 25)

    def forward(self, x: Tensor, scale: int) -> Tensor:
        blurred = nn.functional.conv2d(x - self.mean, self.blur, padding=2, groups=3)  # type: ignore[arg-type]
        return nn.functional.pixel_shuffle(self.norm(self.conv(blurred)), 2)


@pytest.mark.parametrize("name", MACS)
def test_macs_of_presets(name: str) -> None:
    with torch.device("meta"):
        net = build(PRESETS[name])
    assert {scale: observe(net, scale)[0] for scale in MACS[name]} == MACS[name]


@pytest.mark.parametrize("name", RADII)
def test_radii_of_presets(name: str) -> None:
    net = build(PRESETS[name])
    assert {scale: trace(net, scale).radius for scale in RADII[name]} == RADII[name]


@pytest.mark.parametrize(("layout", "scale"), CASES)
def test_macs_are_those_of_the_convolutions_that_run(layout: NetConfig, scale: Scale) -> None:
    net, macs = tiny(layout), 0

    def count(module: nn.Module, inputs: tuple[Tensor], output: Tensor) -> None:
        nonlocal macs
        assert isinstance(module, nn.Conv2d | nn.ConvTranspose2d)
        computed = inputs[0] if isinstance(module, nn.ConvTranspose2d) else output
        macs += module.weight.numel() * computed.shape[-1] * computed.shape[-2]

    for module in net.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            module.register_forward_hook(count)
        if isinstance(module, DCU):
            # Hooks do not see a convolution that is folded with another.
            module.folds = False
    per_side = {}
    for side in (4, 5, 6):
        macs = 0
        net(torch.rand(1, 3, side, side, dtype=torch.float64), scale)
        per_side[side] = macs
    # Of a large picture: what grows with its side alone is padding.
    assert per_side[6] - 2 * per_side[5] + per_side[4] == 2 * observe(net, scale)[0]


def test_another_projects_network_is_traced() -> None:
    # Alive at once: results of the blur, convolution and norm.
    assert trace(Stranger(), 2) == Cost(3 * 25 + 3 * 12 * 9, 3, 4 * (3 + 12 + 12))


def test_the_peak_of_a_chain_is_that_of_two_neighbours() -> None:
    chain = nn.Sequential(nn.Conv2d(3, 8, 1), nn.Conv2d(8, 16, 1), nn.Conv2d(16, 2, 1))

    net = Function(nn.Sequential(chain, nn.ReLU(inplace=True)))
    assert observe(net, 1) == (3 * 8 + 8 * 16 + 16 * 2, 4 * (8 + 16))


def test_tracing_changes_nothing_in_the_network() -> None:
    net = build(PRESETS["table1-block"])
    net.dcus.eval()  # type: ignore[union-attr]
    before = {name: value.clone() for name, value in net.state_dict().items()}
    modes = [module.training for module in net.modules()]
    observe(net, 4)
    find_radius(net, 4)
    assert modes == [module.training for module in net.modules()]
    assert all(torch.equal(value, before[name]) for name, value in net.state_dict().items())


def test_a_cost_is_traced_once_for_a_network(monkeypatch: pytest.MonkeyPatch) -> None:
    net = build(ProSRConfig(features=2, growth=(1,), dcus=((1,),)))
    cost = trace(net, 2)
    monkeypatch.setattr("prosr.nets.cost.observe", lambda net, scale: pytest.fail("traced again"))
    assert trace(net, 2) is cost


def test_a_faint_dependence_counts() -> None:
    convolutions = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(40)]
    for convolution in convolutions:
        nn.init.zeros_(convolution.weight)
    net = nn.Sequential(*convolutions, nn.Upsample(scale_factor=2))
    assert find_radius(Function(net), 2) == 40


def test_the_longer_axis_counts() -> None:
    tall = nn.Conv2d(3, 3, (7, 1), padding=(3, 0))
    wide = nn.Conv2d(3, 3, (1, 7), padding=(0, 3))
    assert find_radius(Function(tall), 1) == find_radius(Function(wide), 1) == 3


def test_an_unlimited_receptive_field_is_refused() -> None:
    with pytest.raises(InferenceError, match="cannot run in tiles"):
        find_radius(Function(lambda x: x - x.mean(dim=(2, 3), keepdim=True)), 1)


def test_a_scale_that_the_network_lacks_is_refused() -> None:
    with pytest.raises(ConfigError, match="scale 8 is not one of"):
        trace(build(ProSRConfig(features=2, growth=(1,), dcus=((1,),))), 8)


def test_tracing_does_not_import_the_compiler() -> None:
    code = (
        "import sys; from prosr.config import preset; from prosr.nets.build import build; "
        "from prosr.nets.cost import trace; trace(build(preset('bicubic')), 2); "
        "sys.exit('torch._dynamo' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
