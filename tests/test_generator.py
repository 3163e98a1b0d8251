"""The generator is the paper's function: Eq. 1, Eq. 2 and Fig. 3."""

import pytest
import torch
import torch.nn.functional as F

from prosr.checkpoint import build
from prosr.config import PRESETS
from prosr.errors import ConfigError
from prosr.layouts import SCALES, ProSRConfig
from prosr.nets.blocks import DCU, MEAN_RGB
from prosr.nets.generator import ProSR
from prosr.nets.laplacian import LaplacianPyramid
from prosr.resample import upscale


def tiny(**changes: object) -> ProSR:
    torch.manual_seed(0)
    layout: dict[str, object] = {"features": 6, "growth": (4, 4, 4), "dcus": ((2, 1), (1,), (1,))}
    return ProSR(**layout | changes).double().eval()  # type: ignore[arg-type]


def parameters(name: str) -> int:
    return sum(p.numel() for p in build(PRESETS[name]).parameters())


def test_parameter_counts() -> None:
    assert parameters("prosr-l") == 15_537_609
    assert parameters("prosr-s-2018") == 2_550_191
    assert parameters("prosr-s") == pytest.approx(3.1e6, rel=0.02)
    assert parameters("prosr-xs") <= 800_000


@pytest.mark.parametrize(
    "name,printed",
    [
        ("table1-asymmetric", 1.89e6),
        ("table1-curriculum", 1.89e6),
        ("table1-very-deep", 13.4e6),
        ("table3-laplacian", 1.89e6),
    ],
)
def test_parameters_up_to_4_are_those_of_table_1(name: str, printed: float) -> None:
    net = build(PRESETS[name])
    assert isinstance(net, ProSR | LaplacianPyramid)
    assert net.parameter_count(4) == pytest.approx(printed, rel=0.003)


def test_parameters_up_to_the_last_scale_are_all() -> None:
    net = tiny()
    assert net.parameter_count(8) == sum(p.numel() for p in net.parameters())


@pytest.mark.parametrize("scale", [4, 8])
def test_an_opened_scale_begins_as_the_one_below_enlarged(scale: int) -> None:
    net, x = tiny(), torch.rand(1, 3, 4, 5, dtype=torch.float64)
    below = F.interpolate(net.residual(x, scale // 2), scale_factor=2, mode="bilinear")
    assert not torch.allclose(net.residual(x, scale, 0.0), below)
    net.open(scale)
    assert torch.allclose(net.residual(x, scale, 0.0), below)


def test_a_pyramid_without_8_is_the_lower_part_of_one_with_it() -> None:
    whole, part = tiny(), tiny(growth=(4, 4), dcus=((2, 1), (1,)))
    part.load_state_dict({name: whole.state_dict()[name] for name in part.state_dict()})
    x = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    assert torch.equal(part(x, 4, 0.5), whole(x, 4, 0.5))
    with pytest.raises(ConfigError, match="scale 8 is not one of 2, 4"):
        part(x, 8)


def test_prosr_s_has_56_dense_layers_of_growth_12() -> None:
    config = PRESETS["prosr-s"]
    assert isinstance(config, ProSRConfig)
    assert sum(map(sum, config.dcus)) == 56
    assert set(config.growth) == {12}


def test_prosr_l_has_104_dense_layers() -> None:
    config = PRESETS["prosr-l"]
    assert isinstance(config, ProSRConfig)
    assert sum(map(sum, config.dcus)) == 104


@pytest.mark.parametrize("scale,budget", [(2, 14), (4, 24), (8, 40)])
def test_prosr_xs_keeps_its_budget_of_gflop(scale: int, budget: float) -> None:
    net = build(PRESETS["prosr-xs"])
    assert isinstance(net, ProSR)
    assert 2 * 128 * 128 * net.multiply_adds(scale) / 1e9 <= budget


@pytest.mark.parametrize("scale", SCALES)
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("residual", [True, False])
def test_folded_layers_give_what_the_layers_as_drawn_give(
    scale: int, padding: str, residual: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = {"growth": (8, 6, 5), "bottleneck": 1, "upsampled": (6, 5, 4), "dcu_compression": 0.5}
    net = tiny(features=8, padding=padding, residual=residual, dcus=((1, 2), (1,), (1,)), **wide)
    assert any(module.spared for module in net.modules() if isinstance(module, DCU))
    x = torch.rand(1, 3, 5, 6, dtype=torch.float64)
    folded = net(x, scale)
    monkeypatch.setattr("prosr.nets.blocks.FOLD", False)
    torch.testing.assert_close(net(x, scale), folded, rtol=0, atol=1e-12)


@pytest.mark.parametrize("scale", SCALES)
def test_multiply_adds_are_those_of_the_layers_as_drawn(
    scale: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prosr.nets.blocks.FOLD", False)
    net = tiny(features=8, residual=True, upsampled=(5, 4, 3))
    counted = 0

    def count(module: torch.nn.Module, inputs: object, output: torch.Tensor) -> None:
        nonlocal counted
        assert isinstance(module, torch.nn.Conv2d)
        counted += module.weight.numel() * output.shape[-1] * output.shape[-2]

    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            module.register_forward_hook(count)
    net(torch.rand(1, 3, 4, 4, dtype=torch.float64), scale)
    assert counted == 16 * net.multiply_adds(scale)


@pytest.mark.parametrize("scale", SCALES)
def test_estimate_is_residual_plus_bicubic(scale: int) -> None:
    net, x = tiny(), torch.rand(2, 3, 5, 4, dtype=torch.float64)
    torch.testing.assert_close(net(x, scale), net.residual(x, scale) + upscale(x, scale))


@pytest.mark.parametrize("scale", [4, 8])
def test_alpha_blends_the_new_level_with_the_bilinear_previous_residual(scale: int) -> None:
    net, x = tiny(), torch.rand(1, 3, 6, 5, dtype=torch.float64)
    z = net.v[str(scale)]((x - x.new_tensor(MEAN_RGB).view(1, 3, 1, 1)) * net.value_range)
    for level in net.u[: SCALES.index(scale)]:
        z = level(z)
    previous = net.r[str(scale // 2)](z) / net.value_range
    old = F.interpolate(previous, scale_factor=2, mode="bilinear", align_corners=False)
    new = net.residual(x, scale)
    for alpha in (0.0, 0.3, 1.0):
        blended = net.residual(x, scale, alpha)
        torch.testing.assert_close(blended, alpha * new + (1 - alpha) * old)


@pytest.mark.parametrize("scale", SCALES)
def test_stages_compose_to_the_residual(scale: int) -> None:
    net, x = tiny(residual=True), torch.rand(1, 3, 5, 4, dtype=torch.float64)
    z, enlarged = x, 1
    for function, enlargement, _ in net.stages(scale):
        z, enlarged = function(z), enlarged * enlargement
    assert enlarged == scale
    torch.testing.assert_close(z, net.residual(x, scale))


def test_levels_are_shared_and_entrances_and_exits_are_not() -> None:
    net = tiny()
    x = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    net(x, 4).sum().backward()
    used = {name for name, p in net.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in used} == {
        "v.4",
        "u.0",
        "u.1",
        "r.4",
    }


@pytest.mark.parametrize("padding", ["reflect", "zeros"])
@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("scale", SCALES)
def test_receptive_radius_holds_and_is_reached(padding: str, residual: bool, scale: int) -> None:
    net = tiny(padding=padding, residual=residual)
    radius = net.receptive_radius(scale)
    size, pixel = 4 * radius + 1, 2 * radius
    x = torch.rand(1, 3, size, size, dtype=torch.float64, requires_grad=True)
    y_hat = net(x, scale)
    block = slice(pixel * scale, (pixel + 1) * scale)
    (gradient,) = torch.autograd.grad(y_hat[..., block, block].abs().sum(), x)
    touched = gradient.abs().sum(dim=(0, 1)).nonzero() - pixel
    assert radius - 1 <= int(touched.abs().max()) <= radius


@pytest.mark.parametrize(
    "scale,alpha,message",
    [(3, 1.0, "scale 3 is not one of 2, 4, 8"), (4, 1.5, "alpha 1.5"), (2, 0.5, "below scale 2")],
)
def test_impossible_requests_are_named(scale: int, alpha: float, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        tiny()(torch.rand(1, 3, 4, 4, dtype=torch.float64), scale, alpha)


def test_features_are_capped_before_the_upsampler() -> None:
    net = tiny(max_features=7)
    upsampler = net.u[0].upsampler
    assert upsampler.conv.in_channels == 7  # type: ignore[union-attr]
