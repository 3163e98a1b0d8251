"""The systems that ProSR is compared with, one file each."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import nn

from prosr.nets.baselines.anatomy import Baseline
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

SYSTEMS: dict[str, type[Baseline]] = {
    "srcnn": SRCNN,
    "vdsr": VDSR,
    "drrn": DRRN,
    "lapsrn": LapSRN,
    "mslapsrn": MsLapSRN,
    "srdensenet": SRDenseNet,
    "edsr": EDSR,
    "srresnet": SRResNet,
    "enhancenet": EnhanceNet,
}
"""By the `kind` of their layouts in `prosr.layouts`."""


def make(kind: str, layout: Mapping[str, Any]) -> nn.Module:
    """The net of a layout, for RGB: one for luminance comes with colour added."""
    net = SYSTEMS[kind](**layout)
    return LuminanceModel(net) if net.channels == 1 else net
