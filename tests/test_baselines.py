"""The systems of the paper's tables have the sizes that were published."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from prosr.config import PRESETS
from prosr.layouts import DRRNConfig, MsLapSRNConfig
from prosr.nets.baselines.drrn import DRRN
from prosr.nets.baselines.mslapsrn import MsLapSRN
from prosr.nets.build import build
from prosr.nets.cost import observe
from prosr.nets.network import Network
from prosr.resample.tensors import upscale


def on_no_device(name: str) -> Network:
    with torch.device("meta"):
        return build(PRESETS[name])


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
    kernels = sum(p.numel() for p in on_no_device(name).parameters() if p.dim() == 4)
    assert round(kernels / 1000) == published


@pytest.mark.parametrize(
    ("name", "scale", "published"),
    [("srcnn", 4, 52.7), ("vdsr", 4, 612.6), ("drrn", 4, 6796.9), ("srresnet-x4", 4, 127.8)],
)
def test_published_macs(name: str, scale: int, published: float) -> None:
    # CARN (ECCV 2018): in 10⁹, for a result of 1280×720. It counts transposed
    # convolutions by the pixels that they give, so LapSRN cannot be compared.
    pixels = 1280 * 720 // scale**2
    macs, _ = observe(on_no_device(name), scale)
    assert round(pixels * macs / 1e9, 1) == published


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


def test_mslapsrn_shares_its_weights_over_levels_and_scales() -> None:
    net = MsLapSRN(MsLapSRNConfig(depth=1, recursions=1, features=2))
    used = []
    for scale in net.scales:
        net.zero_grad()
        net(torch.rand(1, 1, 4, 4), scale).sum().backward()  # type: ignore[no-untyped-call]
        used.append({name for name, p in net.named_parameters() if p.grad is not None})
    assert used[0] == used[1] == used[2] == {name for name, _ in net.named_parameters()}


def test_drrn_begins_with_the_bicubic() -> None:
    net, x = DRRN(DRRNConfig(units=3, features=4)), torch.rand(1, 1, 5, 6)
    assert torch.equal(net(x, 2), upscale(x, 2))
