"""Builds the network or discriminator of a layout."""

from __future__ import annotations

from torch import nn

from prosr import layouts
from prosr.layouts import DiscriminatorConfig, NetConfig, SRGANDiscriminatorConfig
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


def build(layout: NetConfig) -> Network:
    """Build the network of a layout, for RGB, with fresh parameters, in training mode."""
    match layout:
        case layouts.ProSRConfig():
            return ProSR(layout)
        case layouts.LaplacianConfig():
            return LaplacianPyramid(layout)
        case layouts.DirectConfig():
            return Direct(layout)
        case layouts.BicubicConfig():
            return Bicubic()
        case layouts.EDSRConfig():
            return EDSR(layout)
        case layouts.SRResNetConfig():
            return SRResNet(layout)
        case layouts.EnhanceNetConfig():
            return EnhanceNet(layout)
        case layouts.SRCNNConfig():
            return LuminanceModel(SRCNN(layout))
        case layouts.VDSRConfig():
            return LuminanceModel(VDSR(layout))
        case layouts.DRRNConfig():
            return LuminanceModel(DRRN(layout))
        case layouts.LapSRNConfig():
            return LuminanceModel(LapSRN(layout))
        case layouts.MsLapSRNConfig():
            return LuminanceModel(MsLapSRN(layout))
        case layouts.SRDenseNetConfig():
            return LuminanceModel(SRDenseNet(layout))


def build_discriminator(layout: DiscriminatorConfig | SRGANDiscriminatorConfig) -> nn.Module:
    """Build the discriminator of a layout, with fresh parameters, in training mode."""
    if isinstance(layout, SRGANDiscriminatorConfig):
        return SRGANDiscriminator(layout)
    return ProgressiveDiscriminator(layout)
