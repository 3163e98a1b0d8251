"""Table 3's alternative is Eq. 8 over ProSR's parts."""

import pytest
import torch

from prosr.layouts import LaplacianConfig, ProSRConfig
from prosr.nets.build import build
from prosr.nets.generator import ProSR
from prosr.nets.laplacian import LaplacianPyramid
from prosr.resample.tensors import upscale

LAYOUT = {"features": 6, "growth": (4, 4, 4), "dcus": ((2, 1), (1,), (1,))}


def tiny() -> LaplacianPyramid:
    torch.manual_seed(0)
    net = build(LaplacianConfig.model_validate(LAYOUT)).double().eval()
    assert isinstance(net, LaplacianPyramid)
    return net


X = torch.rand(2, 3, 5, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_eq8_adds_each_residual_to_the_enlarged_estimate_below() -> None:
    net = tiny()
    z, base = net.enter(X, 8), X
    for s, level, y_hat in zip((2, 4, 8), net.u, net.estimates(X, 8), strict=True):
        z = level(z)
        base = net.leave(z, s) + upscale(base, 2)
        torch.testing.assert_close(y_hat, base)


@pytest.mark.parametrize("scale", [2, 4, 8])
def test_users_get_the_last_estimate(scale: int) -> None:
    net = tiny()
    estimates = net.estimates(X, scale)
    assert [y_hat.shape[-1] for y_hat in estimates] == [4 * s for s in (2, 4, 8) if s <= scale]
    assert torch.equal(net(X, scale), estimates[-1])


@pytest.mark.parametrize("scale", [4, 8])
def test_alpha_is_the_share_of_the_last_residual(scale: int) -> None:
    net = tiny()
    *_, below, whole = net.estimates(X, scale)
    torch.testing.assert_close(net(X, scale, 0.0), upscale(below, 2))
    torch.testing.assert_close(net(X, scale, 0.3), 0.3 * whole + 0.7 * upscale(below, 2))


def test_parts_are_those_of_a_prosr_of_the_same_layout() -> None:
    torch.manual_seed(0)
    twin = build(ProSRConfig.model_validate(LAYOUT)).double()
    ours = tiny().state_dict()
    assert isinstance(twin, ProSR)
    assert ours.keys() == twin.state_dict().keys()
    assert all(torch.equal(ours[name], value) for name, value in twin.state_dict().items())


def test_it_is_prosr_at_2() -> None:
    torch.manual_seed(0)
    twin = build(ProSRConfig.model_validate(LAYOUT)).double().eval()
    torch.testing.assert_close(tiny()(X, 2), twin(X, 2))
