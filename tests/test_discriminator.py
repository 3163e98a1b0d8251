"""The discriminator is the generator's pyramid reversed."""

import pytest
import torch
import torch.nn.functional as F

from prosr.config import DISCRIMINATORS, PRESETS
from prosr.errors import ConfigError
from prosr.layouts import DiscriminatorConfig
from prosr.nets.build import build_discriminator
from prosr.nets.discriminator import ProgressiveDiscriminator
from prosr.scales import SCALES, Scale

SMALL = DiscriminatorConfig(features=(4, 3, 2), layers=(1, 2, 1), head=(5, 4))
PARAMETERS = {"progansr-l": 7_160_577, "progansr-xs": 91_529, "srgan": 23_565_505}


def made(config: DiscriminatorConfig = SMALL) -> ProgressiveDiscriminator:
    torch.manual_seed(0)
    net = build_discriminator(config)
    assert isinstance(net, ProgressiveDiscriminator)
    return net.eval()


def residual(scale: int, height: int = 3, width: int = 5) -> torch.Tensor:
    return 0.1 * torch.randn(2, 3, scale * height, scale * width)


@pytest.mark.parametrize("scale", SCALES)
def test_scores_are_one_for_each_pixel_of_x_at_every_scale_and_size(scale: int) -> None:
    assert made()(residual(scale), scale).shape == (2, 1, 3, 5)


@pytest.mark.parametrize("name", DISCRIMINATORS)
def test_parameter_counts(name: str) -> None:
    net = build_discriminator(DISCRIMINATORS[name])
    assert sum(parameter.numel() for parameter in net.parameters()) == PARAMETERS[name]


def test_each_gan_preset_has_a_generator_of_its_name() -> None:
    assert DISCRIMINATORS.keys() - {"srgan"} <= PRESETS.keys()


def test_levels_are_shared_and_v_is_not() -> None:
    net = made()
    used = {}
    for scale in SCALES:
        net.zero_grad()
        net(residual(scale), scale).sum().backward()
        used[scale] = {
            ".".join(name.split(".")[:2])
            for name, p in net.named_parameters()
            if p.grad is not None
        }
    inputs = {scale: {part for part in used[scale] if part.startswith("v.")} for scale in SCALES}
    assert inputs == {scale: {f"v.{scale}"} for scale in SCALES}
    levels = {scale: {part for part in used[scale] if part.startswith("u.")} for scale in SCALES}
    assert levels == {2: {"u.0"}, 4: {"u.0", "u.1"}, 8: {"u.0", "u.1", "u.2"}}


@pytest.mark.parametrize("alpha", [0.0, 0.3])
def test_alpha_blends_the_new_level_with_the_input_of_the_one_below(alpha: float) -> None:
    net, r = made(), residual(8)
    new = net.reduce(net.enter(r, 8), 2)
    below = net.enter(F.avg_pool2d(r, 2), 4)
    z = net.reduce(net.reduce(alpha * new + (1 - alpha) * below, 1), 0)
    torch.testing.assert_close(net(r, 8, alpha), net.score(net.head(z)))


def test_at_alpha_0_the_new_level_is_absent() -> None:
    net, r = made(), residual(4)
    torch.testing.assert_close(net(r, 4, 0.0), net(F.avg_pool2d(r, 2), 2))


def test_spectral_kernels_have_a_largest_singular_value_of_1() -> None:
    net = made(SMALL.model_copy(update={"spectral": True})).train()
    for _ in range(50):
        for scale in SCALES:
            net(residual(scale), scale)
    for module in net.modules():
        if isinstance(module, torch.nn.Conv2d):
            largest = torch.linalg.matrix_norm(module.weight.flatten(1), 2)
            assert largest.item() == pytest.approx(1, abs=0.02)


def test_other_scales_and_alphas_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"scale 3 is not one of .* 2, 4, 8"):
        made()(residual(2), 3)
    with pytest.raises(ConfigError, match="needs a level below"):
        made()(residual(2), 2, 0.5)


@pytest.mark.parametrize("scale", SCALES)
def test_the_authors_network_has_a_score_for_8_by_8_pixels_of_x(scale: Scale) -> None:
    layout = DISCRIMINATORS["progansr-l"]
    assert isinstance(layout, DiscriminatorConfig)
    net = made(layout)
    assert net(residual(scale, 16, 24), scale).shape == (2, 1, 2, 3)
    # 2 pixels of the last level are the least that can be padded by reflection.
    smallest = layout.smallest(scale)
    assert net(torch.zeros(1, 3, smallest, smallest), scale).shape[2:] == (2, 2)


def test_shared_inputs_and_the_blending_of_the_authors_network() -> None:
    net = made(SMALL.model_copy(update={"features": (3, 3, 3), "shared": True}))
    r = residual(4)
    entered, below = net.enter(r, 4), net.enter(F.avg_pool2d(r, 2), 2)
    assert list(net.v) == ["2"]
    z = 0.3 * F.avg_pool2d(net.u[1](entered), 2) + 0.7 * below
    wanted = net.score(net.head(F.avg_pool2d(net.u[0](z), 2)))
    torch.testing.assert_close(net(r, 4, alpha=0.3), wanted)


def test_a_linear_layer_precedes_the_scores() -> None:
    net = made(SMALL.model_copy(update={"trunk": ((5, 6),), "head": (6,), "linear": 4}))
    seen: list[torch.Tensor] = []
    net.score.register_forward_pre_hook(lambda _, given: seen.append(given[0]))
    net(residual(2, 8, 8), 2)
    assert (seen[0] < 0).any()
    assert not len(net.head.layers)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"features": (4, 3, 2), "shared": True}, "features: must be equal"),
        ({"trunk": ((5, 6),), "head": (5, 4)}, "trunk: each group must begin"),
    ],
)
def test_layouts_that_do_not_fit_are_refused(change: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        DiscriminatorConfig.model_validate(SMALL.model_dump() | change)
