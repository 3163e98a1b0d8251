"""The systems that ProSR is compared with: layout, presets and net in one file each."""

from __future__ import annotations

from torch import nn

from prosr.layouts import BaselineConfig
from prosr.nets.baselines.anatomy import Baseline, Presets
from prosr.nets.baselines.drrn import DRRN
from prosr.nets.baselines.edsr import EDSR
from prosr.nets.baselines.enhancenet import EnhanceNet
from prosr.nets.baselines.lapsrn import LapSRN
from prosr.nets.baselines.mslapsrn import MsLapSRN
from prosr.nets.baselines.srcnn import SRCNN
from prosr.nets.baselines.srdensenet import SRDenseNet
from prosr.nets.baselines.srresnet import SRResNet
from prosr.nets.baselines.vdsr import VDSR
from prosr.nets.luminance import LuminanceModel

SYSTEMS: tuple[type[Baseline], ...] = (
    SRCNN,
    VDSR,
    DRRN,
    LapSRN,
    MsLapSRN,
    SRDenseNet,
    EDSR,
    SRResNet,
    EnhanceNet,
)
"""All of them; what is not here is not known to any command."""

LAYOUTS = tuple(system.layout for system in SYSTEMS)

PRESETS: Presets = {name: layout for system in SYSTEMS for name, layout in system.presets.items()}

_BY_KIND = {system.layout.model_fields["kind"].default: system for system in SYSTEMS}


def make(config: BaselineConfig) -> nn.Module:
    """The net of a layout, for RGB: one for luminance comes with colour added."""
    net = _BY_KIND[config.kind](**config.model_dump(exclude={"kind"}))
    return LuminanceModel(net) if net.channels == 1 else net
