"""Builds the network or discriminator of a layout."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import nn

from prosr import layouts
from prosr.layouts import DiscriminatorConfig, Layout, NetConfig, SRGANDiscriminatorConfig
from prosr.nets.baselines.bicubic import Bicubic
from prosr.nets.baselines.drrn import DRRN
from prosr.nets.baselines.edsr import EDSR
from prosr.nets.baselines.enhancenet import EnhanceNet
from prosr.nets.baselines.lapsrn import LapSRN
from prosr.nets.baselines.mslapsrn import MsLapSRN
from prosr.nets.baselines.srcnn import SRCNN
from prosr.nets.baselines.srdensenet import SRDenseNet
from prosr.nets.baselines.srgan import SRGANDiscriminator
from prosr.nets.baselines.srresnet import SRResNet
from prosr.nets.baselines.vdsr import VDSR
from prosr.nets.direct import Direct
from prosr.nets.discriminator import ProgressiveDiscriminator
from prosr.nets.generator import ProSR
from prosr.nets.laplacian import LaplacianPyramid
from prosr.nets.luminance import LuminanceModel
from prosr.nets.network import Network

_RGB: dict[type[Layout], Callable[[Any], Network]] = {
    layouts.ProSRConfig: ProSR,
    layouts.LaplacianConfig: LaplacianPyramid,
    layouts.DirectConfig: Direct,
    layouts.BicubicConfig: Bicubic,
    layouts.EDSRConfig: EDSR,
    layouts.SRResNetConfig: SRResNet,
    layouts.EnhanceNetConfig: EnhanceNet,
}
_LUMINANCE: dict[type[Layout], Callable[[Any], Network]] = {
    layouts.SRCNNConfig: SRCNN,
    layouts.VDSRConfig: VDSR,
    layouts.DRRNConfig: DRRN,
    layouts.LapSRNConfig: LapSRN,
    layouts.MsLapSRNConfig: MsLapSRN,
    layouts.SRDenseNetConfig: SRDenseNet,
}


def build(layout: NetConfig) -> Network:
    """Build the network of a layout, for RGB, with fresh parameters, in training mode."""
    kind = type(layout)
    return _RGB[kind](layout) if kind in _RGB else LuminanceModel(_LUMINANCE[kind](layout))


def build_discriminator(layout: DiscriminatorConfig | SRGANDiscriminatorConfig) -> nn.Module:
    """Build the discriminator of a layout, with fresh parameters, in training mode."""
    if isinstance(layout, SRGANDiscriminatorConfig):
        return SRGANDiscriminator(layout)
    return ProgressiveDiscriminator(layout)
