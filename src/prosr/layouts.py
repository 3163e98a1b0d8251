"""Frozen layouts: the complete structure of a network or discriminator.

This module needs no PyTorch. `prosr.nets.build` builds networks from layouts.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from prosr.errors import ConfigError, suggestion
from prosr.scales import SCALES, Scale

_Model = TypeVar("_Model", bound="Settings")

Count = Annotated[int, Field(gt=0, le=10_000)]
Padding = Literal["reflect", "zeros"]
Layers = Annotated[tuple[Annotated[int, Field(gt=0, le=100)], ...], Field(max_length=20)]


class Frozen(BaseModel):
    """An immutable record of finite numbers."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", protected_namespaces=(), allow_inf_nan=False
    )


class Settings(Frozen):
    """A record from user input: integers of 64 bits, and no unknown keys."""

    @model_validator(mode="before")
    @classmethod
    def _knows_every_key(cls, value: object) -> object:
        if not isinstance(value, Mapping | cls):
            raise ValueError(f"must be a table, with keys of {', '.join(cls.model_fields)}")
        # Before the other checks: a misspelt key also makes its right spelling "missing".
        for key, own in value.items() if isinstance(value, Mapping) else ():
            if key not in cls.model_fields:
                shown = str(key)[:60]
                raise ValueError(f"unknown key {shown!r}{suggestion(shown, cls.model_fields)}")
            for number in own if isinstance(own, list | tuple) else [own]:
                if isinstance(number, int) and abs(number) >= 1 << 63:
                    raise ValueError(f"{key}: an integer has more than 64 bits")
        return value


def validated(model: type[_Model], value: Mapping[str, Any], where: str = "") -> _Model:
    """Create a record from a mapping.

    Raises `ConfigError` in one line for the first mistake, with `where`, the key and a remedy.
    """
    try:
        return model.model_validate(value)
    except ValidationError as error:
        problem = error.errors()[0]
        key = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        raise ConfigError(": ".join(filter(None, (where, key, message)))) from error


def replaced(layout: _Model, changes: Mapping[str, Any]) -> _Model:
    """The layout with the fields of a recipe's table `layout`; raises `ConfigError`."""
    return validated(type(layout), {**layout.model_dump(), **changes}, "layout")


class Layout(Settings):
    """Layout of a network for all scales, unless a subclass has others."""

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales of the network, smallest first."""
        return SCALES


class OneScale(Layout):
    """Layout of a network for one scale."""

    scale: Scale

    @property
    def scales(self) -> tuple[Scale, ...]:
        return (self.scale,)


class DenseConfig(Layout):
    """Common fields of networks of dense compression units (DCUs) (3.2).

    A DCU's CONV(1,1) keeps the fraction `dcu_compression` of its concatenated channels.
    Inside the network, colours have the range [0, `value_range`].
    """

    features: Count
    bottleneck: Count = Field(default=4, description="width of a dense layer's CONV(1,1), in k")
    dcu_compression: float = Field(default=0.4, gt=0, le=1)
    padding: Padding = "reflect"
    value_range: float = Field(default=255.0, gt=0)


class PyramidConfig(DenseConfig):
    """Layout of a pyramid of one to three levels, for ×2, ×4 and ×8 (3.1, 3.2).

    `dcus` holds one tuple for each level: the number of dense layers in each of its DCUs.
    `growth` is the growth rate k of each level. With `residual`, a DCU compresses back to the
    width of its level and ignores `dcu_compression`. `level_compression` is the fraction of
    channels that the next level keeps. `upsampled` is the number of channels after each
    level's upsampler; by default as many as before it. `max_features` limits the channels
    before each upsampler.
    """

    growth: tuple[Count, ...]
    dcus: tuple[Layers, ...] = Field(min_length=1, max_length=len(SCALES))
    residual: bool = False
    residual_scale: float = 0.2
    level_compression: float = Field(default=1.0, gt=0, le=1)
    upsampled: tuple[Count, ...] | None = None
    max_features: int | None = Field(default=None, gt=0)

    @property
    def scales(self) -> tuple[Scale, ...]:
        return SCALES[: len(self.dcus)]

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        for name, values in (("growth", self.growth), ("upsampled", self.upsampled)):
            if values is not None and len(values) != len(self.dcus):
                raise ValueError(f"{name} and dcus need one entry for each level")
        return self


class ProSRConfig(PyramidConfig):
    """ProSR: every scale adds one residual to φ_s(x) (Eq. 2).

    `back_projections` is the number of back-projections that follow.
    """

    kind: Literal["prosr"] = "prosr"
    back_projections: int = Field(default=0, ge=0, le=100)


class LaplacianConfig(PyramidConfig):
    """Laplacian pyramid: every level adds a residual to the enlarged level below (4.2)."""

    kind: Literal["laplacian"] = "laplacian"


class DirectConfig(OneScale, DenseConfig):
    """Layout of a network that upsamples at its end, as `D-D-D-D-S-S` (4.1).

    `batch_norm` selects the original dense layer, BN-ReLU-CONV(1,1)-BN-ReLU-CONV(3,3).
    The last DCU has no compression, so a single DCU is a plain dense block.
    """

    kind: Literal["direct"] = "direct"
    scale: Scale = 4
    growth: Count
    dcus: Layers = Field(min_length=1)
    batch_norm: bool = False


class BicubicConfig(Layout):
    """φ_s alone, the baseline of every table."""

    kind: Literal["bicubic"] = "bicubic"


class SRCNNConfig(Layout):
    """`sizes` are the kernel sizes f1, f2, f3, `widths` the channels n1 and n2."""

    kind: Literal["srcnn"] = "srcnn"
    sizes: tuple[Count, Count, Count]
    widths: tuple[Count, Count]


class VDSRConfig(Layout):
    kind: Literal["vdsr"] = "vdsr"
    layers: Annotated[Count, Field(gt=1)] = 20
    features: Count = 64


class DRRNConfig(Layout):
    """B `blocks` of U recursive `units`."""

    kind: Literal["drrn"] = "drrn"
    blocks: Count = 1
    units: Count = 25
    features: Count = 128


class LapSRNConfig(Layout):
    """A network of `levels` was trained for its last scale; its lower levels return the others."""

    kind: Literal["lapsrn"] = "lapsrn"
    levels: Literal[1, 2, 3]
    depth: Count = Field(default=10, description="convolutions in each level")
    features: Count = 64

    @property
    def scales(self) -> tuple[Scale, ...]:
        return SCALES[: self.levels]


class MsLapSRNConfig(Layout):
    """Each level applies the same `depth` convolutions `recursions` times."""

    kind: Literal["mslapsrn"] = "mslapsrn"
    depth: Count = 5
    recursions: Count = 8
    features: Count = 64


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


NetConfig = (
    ProSRConfig
    | LaplacianConfig
    | DirectConfig
    | BicubicConfig
    | SRCNNConfig
    | VDSRConfig
    | DRRNConfig
    | LapSRNConfig
    | MsLapSRNConfig
    | SRDenseNetConfig
    | EDSRConfig
    | SRResNetConfig
    | EnhanceNetConfig
)
"""All layouts that this package can build a network from."""


class CommunityConfig(OneScale):
    """Description of another project's network; nothing is built from it."""

    architecture: str


class DiscriminatorConfig(Settings):
    """Layout of ProGanSR's discriminator, the generator's pyramid reversed (3.3).

    `features` are the channels that enter the levels u_0, u_1, u_2, and `layers` the number
    of CONV(3,3) in each. With `shared`, all scales have one input convolution instead of
    their own v_s. Each group of `trunk` gives the widths of convolutions that follow u_0 and
    end in average pooling ×2, the width that enters first. `head` are the widths of the
    convolutions that follow, and `linear` that of one more without activation. Residuals
    have an amplitude of a few hundredths and are multiplied by `gain`. `spectral` selects
    spectral normalization.
    """

    features: tuple[Count, ...] = Field(min_length=1, max_length=len(SCALES))
    layers: tuple[Count, ...]
    shared: bool = False
    trunk: tuple[tuple[Count, ...], ...] = ()
    head: tuple[Count, ...] = Field(min_length=1)
    linear: Count | None = None
    padding: Padding = "zeros"
    gain: float = Field(default=10.0, gt=0)
    spectral: bool = False

    @property
    def scales(self) -> tuple[Scale, ...]:
        return SCALES[: len(self.features)]

    def smallest(self, scale: Scale) -> int:
        """Side in pixels of the smallest residual: two pixels remain after all pooling."""
        return scale << (1 + len(self.trunk))

    @model_validator(mode="after")
    def _levels_agree(self) -> Self:
        if len(self.layers) != len(self.features):
            raise ValueError("layers and features need one entry for each level")
        if self.shared and len(set(self.features)) > 1:
            raise ValueError("features: must be equal if all scales share one input convolution")
        groups = [*self.trunk, self.head]
        if any(a[-1:] != b[:1] for a, b in pairwise(groups)):
            raise ValueError("trunk: each group must begin with the width that the last ends with")
        return self


class SRGANDiscriminatorConfig(Layout):
    """SRGAN's discriminator, which takes pictures of `side`×`side` pixels only."""

    side: Literal[96] = 96

    def smallest(self, scale: Scale) -> int:
        """Side in pixels of its only size."""
        return self.side
