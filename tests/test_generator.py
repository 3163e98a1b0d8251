"""The generator is the paper's function: Eq. 1, Eq. 2 and Fig. 3."""

import pytest
import torch
import torch.nn.functional as F

from prosr.config import PRESETS
from prosr.errors import ConfigError
from prosr.layouts import Padding, ProSRConfig
from prosr.nets.blocks import DCU, MEAN_RGB
from prosr.nets.build import build
from prosr.nets.cost import observe
from prosr.nets.generator import ProSR
from prosr.resample.tensors import upscale
from prosr.scales import SCALES


def tiny(**changes: object) -> ProSR:
    torch.manual_seed(0)
    layout: dict[str, object] = {"features": 6, "growth": (4, 4, 4), "dcus": ((2, 1), (1,), (1,))}
    return ProSR(ProSRConfig.model_validate(layout | changes)).double().eval()


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
    assert build(PRESETS[name]).parameter_count(4) == pytest.approx(printed, rel=0.003)


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
    with pytest.raises(ConfigError, match=r"scale 8 is not one of .* 2, 4$"):
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
    macs, _ = observe(build(PRESETS["prosr-xs"]), scale)
    assert 2 * 128 * 128 * macs / 1e9 <= budget


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


def test_levels_are_shared_and_v_and_r_are_not() -> None:
    net = tiny()
    x = torch.rand(1, 3, 4, 4, dtype=torch.float64)
    net(x, 4).sum().backward()  # type: ignore[no-untyped-call]
    used = {name for name, p in net.named_parameters() if p.grad is not None}
    assert {name.split(".")[0] + "." + name.split(".")[1] for name in used} == {
        "v.4",
        "u.0",
        "u.1",
        "r.4",
    }


def test_features_are_capped_before_the_upsampler() -> None:
    net = tiny(max_features=7)
    upsampler = net.u[0].upsampler
    assert upsampler.conv.in_channels == 7  # type: ignore[union-attr]


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("padding", ["zeros", "reflect"])
@pytest.mark.parametrize("scale", SCALES)
def test_folded_convolutions_give_what_the_layers_as_drawn_give(
    scale: int, padding: Padding, residual: bool
) -> None:
    layout = ProSRConfig(
        features=8,
        growth=(8, 6, 5),
        dcus=((1, 2), (1,), (1,)),
        bottleneck=1,
        upsampled=(6, 5, 4),
        dcu_compression=0.5,
        padding=padding,
        residual=residual,
    )
    net = build(layout).double().eval()
    x = torch.rand(1, 3, 5, 6, dtype=torch.float64)
    folded, macs = net(x, scale), observe(net, scale)[0]
    units = [module for module in net.modules() if isinstance(module, DCU) and module.folds]
    assert units
    for unit in units:
        unit.folds = False
    torch.testing.assert_close(folded, net(x, scale))
    assert macs < observe(net, scale)[0]


def test_a_narrow_growth_is_not_folded() -> None:
    units = [one for one in build(PRESETS["prosr-s"]).modules() if isinstance(one, DCU)]
    assert units and not any(unit.folds for unit in units)
