"""Frozen layouts of the paper's networks, and what those of all networks share."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable, Sequence
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prosr.errors import ConfigError

Scale = Literal[2, 4, 8]
SCALES: tuple[Scale, ...] = (2, 4, 8)
MOST = 10_000
"""Of channels, layers and whatever else a layout counts: no network can have more."""

Count = Annotated[int, Field(gt=0, le=MOST)]
Layers = Annotated[tuple[Annotated[int, Field(gt=0, le=100)], ...], Field(max_length=20)]
Several = Annotated[int, Field(gt=1, le=MOST)]


def check_scale(scale: int) -> Scale:
    """Return `scale` as an int if it is one that the networks know, or raise `ConfigError`."""
    for known in SCALES:
        if scale == known:
            return known
    raise ConfigError(f"scale {scale} is not one of {', '.join(map(str, SCALES))}")


def choose_scales(model: str, own: Sequence[int], asked: Iterable[int]) -> tuple[Scale, ...]:
    """The scales `asked` of the model that has its `own`, each once; all of those for none.

    Raises `ConfigError` for one that is not among them.
    """
    wanted = tuple(map(check_scale, dict.fromkeys(asked)))
    for scale in wanted:
        if scale not in own:
            raise ConfigError(
                f"{model} does not enlarge by {scale}, only by {', '.join(map(str, own))}"
            )
    return wanted or tuple(map(check_scale, own))


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


class PyramidConfig(Settings):
    """Layout of a pyramid of levels, for ×2, ×4 and ×8 or the first of them (3.1, 3.2).

    `dcus` holds, for each level, the number of dense layers in each of its DCUs.
    Fractions are of the channels that enter: `dcu_compression` of a DCU's concatenated
    channels (plain variant; the residual one compresses back to the level's width),
    `level_compression` from one level to the next. `upsampled` is the number of channels
    that each level's upsampler gives; unless set, as many as it gets.
    """

    features: Count
    growth: tuple[Count, ...]
    bottleneck: Count = Field(default=4, description="width of a dense layer's 1×1, in k")
    dcus: tuple[Layers, ...] = Field(min_length=1, max_length=len(SCALES))
    residual: bool = False
    residual_scale: float = 0.2
    dcu_compression: float = Field(default=0.4, gt=0, le=1)
    level_compression: float = Field(default=1.0, gt=0, le=1)
    upsampled: tuple[Count, ...] | None = None
    max_features: int | None = Field(default=None, gt=0)
    padding: Literal["reflect", "zeros"] = "reflect"
    value_range: float = Field(default=255.0, gt=0, description="units of input and residual")

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
    """ProSR: the residual is of φ_s(x), whatever the levels between give (Eq. 2).

    `back_projections` is how often ŷ is made to agree with x in the end.
    """

    kind: Literal["prosr"] = "prosr"
    back_projections: int = Field(default=0, ge=0, le=100)


class LaplacianConfig(PyramidConfig):
    """The same levels as a Laplacian pyramid: each residual is of the level below's (4.2)."""

    kind: Literal["laplacian"] = "laplacian"


class DirectConfig(OneScale):
    """Layout of a network for one scale that enlarges at its end, as `D-D-D-D-S-S` (4.1).

    The fields are those of a pyramid's level; `batch_norm` makes the dense layers the
    original BN-ReLU-CONV(1,1)-BN-ReLU-CONV(3,3). A single DCU is a plain dense block: the
    last one is not compressed.
    """

    kind: Literal["direct"] = "direct"
    scale: Scale = 4
    features: Count
    growth: Count
    bottleneck: Count = 4
    dcus: Layers = Field(min_length=1)
    batch_norm: bool = False
    dcu_compression: float = Field(default=0.4, gt=0, le=1)
    padding: Literal["reflect", "zeros"] = "reflect"
    value_range: float = Field(default=255.0, gt=0)


class BicubicConfig(AllScales):
    """φ_s alone: the baseline of every table."""

    kind: Literal["bicubic"] = "bicubic"


class BaselineConfig(Settings):
    """Of a system that ProSR is compared with; each file of `prosr.nets.baselines` has its own."""

    kind: str

    @property
    @abstractmethod
    def scales(self) -> tuple[Scale, ...]:
        """The scales that the net has."""

    @property
    def timed_at(self) -> tuple[Scale, ...]:
        """Those that it was made for; a pyramid may have others on its way."""
        return self.scales


class CommunityConfig(OneScale):
    """Of a network of another project: what its file says, not what it is built from."""

    architecture: str
