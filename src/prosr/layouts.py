"""Frozen layouts of the systems that ProSR is compared with, and the scales all share.

The fields are those of the nets in `prosr.nets.baselines`, where they are explained.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Scale = Literal[2, 4, 8]
SCALES: tuple[Scale, ...] = (2, 4, 8)
Count = Annotated[int, Field(gt=0)]


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class Settings(Frozen):
    """What somebody wrote: every number in it is finite."""

    model_config = ConfigDict(allow_inf_nan=False)


class AllScales(Settings):
    """A layout of one net for all scales."""

    @property
    def scales(self) -> tuple[Scale, ...]:
        return SCALES


class OneScale(Settings):
    """A layout of a net for one scale."""

    scale: Scale

    @property
    def scales(self) -> tuple[Scale, ...]:
        return (self.scale,)


class CommunityConfig(OneScale):
    """Of a network of another project: what its file says, not what it is built from."""

    architecture: str


class SRCNNConfig(AllScales):
    kind: Literal["srcnn"] = "srcnn"
    sizes: tuple[Count, Count, Count]
    widths: tuple[Count, Count]


class VDSRConfig(AllScales):
    kind: Literal["vdsr"] = "vdsr"
    layers: int = Field(default=20, gt=1)
    features: Count = 64


class DRRNConfig(AllScales):
    kind: Literal["drrn"] = "drrn"
    blocks: Count = 1
    units: Count = 25
    features: Count = 128


class LapSRNConfig(Settings):
    kind: Literal["lapsrn"] = "lapsrn"
    levels: int = Field(gt=0, le=len(SCALES))
    depth: Count = 10
    features: Count = 64
    leak: float = 0.2

    @property
    def scales(self) -> tuple[Scale, ...]:
        return SCALES[: self.levels]


class MsLapSRNConfig(AllScales):
    kind: Literal["mslapsrn"] = "mslapsrn"
    depth: Count = 5
    recursions: Count = 8
    features: Count = 64
    leak: float = 0.2


class SRDenseNetConfig(OneScale):
    kind: Literal["srdensenet"] = "srdensenet"
    blocks: Count = 8
    layers: Count = 8
    growth: Count = 16
    bottleneck: Count = 256


class EDSRConfig(OneScale):
    kind: Literal["edsr"] = "edsr"
    blocks: Count
    features: Count
    residual_scale: float


class SRResNetConfig(OneScale):
    kind: Literal["srresnet"] = "srresnet"
    blocks: Count = 16
    features: Count = 64


class EnhanceNetConfig(OneScale):
    kind: Literal["enhancenet"] = "enhancenet"
    blocks: Count = 10
    features: Count = 64


BaselineConfig = (
    SRCNNConfig
    | VDSRConfig
    | DRRNConfig
    | LapSRNConfig
    | MsLapSRNConfig
    | SRDenseNetConfig
    | EDSRConfig
    | SRResNetConfig
    | EnhanceNetConfig
)

_EDSR = partial(EDSRConfig, blocks=32, features=256, residual_scale=0.1)
_EDSR_BASELINE = partial(EDSRConfig, blocks=16, features=64, residual_scale=1.0)

# fmt: off
BASELINES: dict[str, BaselineConfig] = {
    # name              layout                                         parameters
    "srcnn":            SRCNNConfig(sizes=(9, 5, 5), widths=(64, 32)),  # 57,281
    "vdsr":             VDSRConfig(),                                   # 664,704
    "drrn":             DRRNConfig(),                                   # 310,272
    "lapsrn-x2":        LapSRNConfig(levels=1),                         # 407,441
    "lapsrn-x4":        LapSRNConfig(levels=2),                         # 814,242
    "lapsrn-x8":        LapSRNConfig(levels=3, depth=5),                # 667,123
    "mslapsrn":         MsLapSRNConfig(),                               # 222,801
    "srdensenet-x2":    SRDenseNetConfig(scale=2),                      # 1,553,409
    "srdensenet-x4":    SRDenseNetConfig(scale=4),                      # 2,143,489
    "srdensenet-x8":    SRDenseNetConfig(scale=8),                      # 2,733,569
    "edsr-baseline-x2": _EDSR_BASELINE(scale=2),                        # 1,369,859
    "edsr-baseline-x4": _EDSR_BASELINE(scale=4),                        # 1,517,571
    "edsr-baseline-x8": _EDSR_BASELINE(scale=8),                        # 1,665,283
    "edsr-x2":          _EDSR(scale=2),                                 # 40,729,603
    "edsr-x4":          _EDSR(scale=4),                                 # 43,089,923
    "edsr-x8":          _EDSR(scale=8),                                 # 45,450,243
    "srresnet-x2":      SRResNetConfig(scale=2),                        # 1,401,749
    "srresnet-x4":      SRResNetConfig(scale=4),                        # 1,549,462
    "srresnet-x8":      SRResNetConfig(scale=8),                        # 1,697,175
    "enhancenet-x2":    EnhanceNetConfig(scale=2),                      # 815,939
    "enhancenet-x4":    EnhanceNetConfig(scale=4),                      # 852,867
    "enhancenet-x8":    EnhanceNetConfig(scale=8),                      # 889,795
}
# fmt: on
