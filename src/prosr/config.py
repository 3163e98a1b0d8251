"""The presets of networks and discriminators, and the recipes that train them.

This module needs no PyTorch. Each number lives in exactly one of: a default of a layout or
recipe, a row of `PRESETS`, a recipe file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Field, field_validator, model_validator

from prosr import layouts
from prosr.data.pipelines import Degradation
from prosr.errors import ConfigError, suggestion
from prosr.layouts import (
    Count,
    DiscriminatorConfig,
    NetConfig,
    Settings,
    SRGANDiscriminatorConfig,
    replaced,
    validated,
)
from prosr.scales import SCALES, Scale

FEATURE_LAYERS = {"vgg16": 4, "distilled": 5}
"""Number of layers that each feature network returns."""

SMALLEST = 16
"""Side in pixels of the smallest patch of y; feature networks halve it four times."""


def _each_scale(name: str, layout: Callable[..., NetConfig]) -> dict[str, NetConfig]:
    return {f"{name}-x{scale}": layout(scale=scale) for scale in SCALES}


# fmt: off
_L = partial(layouts.ProSRConfig, features=160, growth=(40,) * 3, residual=True, dcus=((8,) * 9, (8,) * 3, (8,)))
_S = partial(layouts.ProSRConfig, growth=(12,) * 3, level_compression=0.5, max_features=312)
_XS = partial(
    layouts.ProSRConfig, features=32, growth=(64, 16, 8), dcus=((1,) * 11, (1,), (1,)), bottleneck=1,
    residual=True, upsampled=(16, 8, 8), padding="zeros", value_range=1.0,
)
# Table 1's networks have 24 dense layers of growth 12 for ×4. Table 3 has the same levels.
_T1_DIRECT = partial(layouts.DirectConfig, features=24, growth=12, dcu_compression=0.5)
_T1_LEVELS = partial(layouts.ProSRConfig, features=24, dcu_compression=0.5, level_compression=0.5)
_T3_LEVELS = partial(layouts.LaplacianConfig, features=24, dcu_compression=0.5, level_compression=0.5)
_EDSR_BASELINE = partial(layouts.EDSRConfig, blocks=16, features=64, residual_scale=1.0)
_EDSR = partial(layouts.EDSRConfig, blocks=32, features=256, residual_scale=0.1)

PRESETS: dict[str, NetConfig] = {
    # name               layout                                                                            parameters (of ×2 and ×4)
    "bicubic":           layouts.BicubicConfig(),                                                          # 0
    "prosr-l":           _L(),                                                                             # 15,537,609
    "prosr-s":           _S(dcus=((6,) * 6, (6,) * 2, (8,)), features=64),                                 # 3,059,153
    "prosr-s-2018":      _S(dcus=((6,) * 4, (6,) * 2, (6,)), features=24),                                 # 2,550,191
    "prosr-xs":          _XS(),                                                                            # 508,625
    "progansr-l":        _L(back_projections=2),                                                           # 15,537,609
    "progansr-xs":       _XS(back_projections=2),                                                          # 508,625
    "table1-block":      _T1_DIRECT(dcus=(24,), batch_norm=True),                                          # 8,219,331
    "table1-dcus":       _T1_DIRECT(dcus=(6,) * 4),                                                        # 1,786,167
    "table1-asymmetric": _T1_LEVELS(dcus=((6,) * 3, (6,)), growth=(12,) * 2),                              # 1,889,010
    "table1-curriculum": _T1_LEVELS(dcus=((6,) * 3, (6,), (6,)), growth=(12,) * 3),                        # (1,889,010)
    "table1-very-deep":  _L(),                                                                             # (13,427,206)
    "table3-laplacian":  _T3_LEVELS(dcus=((6,) * 3, (6,), (6,)), growth=(12,) * 3),                        # (1,889,010)
    # Other systems; three numbers are for ×2, ×4 and ×8.
    "srcnn":             layouts.SRCNNConfig(sizes=(9, 5, 5), widths=(64, 32)),                            # 57,281
    "vdsr":              layouts.VDSRConfig(),                                                             # 664,704
    "drrn":              layouts.DRRNConfig(),                                                             # 310,272
    "lapsrn-x2":         layouts.LapSRNConfig(levels=1),                                                   # 407,441
    "lapsrn-x4":         layouts.LapSRNConfig(levels=2),                                                   # 814,242
    "lapsrn-x8":         layouts.LapSRNConfig(levels=3, depth=5),                                          # 667,123
    "mslapsrn":          layouts.MsLapSRNConfig(),                                                         # 222,801
    **_each_scale("srdensenet", layouts.SRDenseNetConfig),                                                 # 1,553,409  2,143,489  2,733,569
    **_each_scale("edsr-baseline", _EDSR_BASELINE),                                                        # 1,369,859  1,517,571  1,665,283
    **_each_scale("edsr", _EDSR),                                                                          # 40,729,603  43,089,923  45,450,243
    **_each_scale("srresnet", layouts.SRResNetConfig),                                                     # 1,401,749  1,549,462  1,697,175
    **_each_scale("enhancenet", layouts.EnhanceNetConfig),                                                 # 815,939  852,867  889,795
}

# The network that the authors trained with; see docs/deviations.md.
_AUTHORS = DiscriminatorConfig(
    features=(64,) * 3, layers=(2,) * 3, shared=True, trunk=((128, 256, 256), (256, 512), (512, 512)),
    head=(512,), linear=512, padding="reflect",
)
_D = partial(DiscriminatorConfig, spectral=True)
DISCRIMINATORS: dict[str, DiscriminatorConfig | SRGANDiscriminatorConfig] = {
    # name         layout                                                         parameters
    "progansr-l":  _AUTHORS,                                                              # 7,160,577
    "progansr-xs": _D(features=(32, 24, 16), layers=(1, 1, 1), head=(48, 64, 64)),  # 91,529
    "srgan": SRGANDiscriminatorConfig(),                                           # 23,565,505
}
# fmt: on


def preset(name: str) -> NetConfig:
    """Return the preset called `name`, or raise `ConfigError` with the nearest name."""
    if name not in PRESETS:
        raise ConfigError(f"no model is called {name!r}{suggestion(name, PRESETS)}")
    return PRESETS[name]


_KINDS: dict[str, type[NetConfig]] = {
    layout.model_fields["kind"].default: layout for layout in get_args(NetConfig)
}


def net_config(value: Mapping[str, Any]) -> NetConfig:
    """Validate a mapping, such as a weights file's header, as a network's layout.

    Raises `ConfigError` naming the first mistake.
    """
    kind = str(value.get("kind"))[:60]
    if kind not in _KINDS:
        raise ConfigError(f"kind: there is no {kind!r}{suggestion(kind, _KINDS)}")
    return validated(_KINDS[kind], value)


class Curriculum(Settings):
    """Starts with ×2 and opens one level after another (3.4).

    `blend_4` and `blend_8` say when the level of ×4 and of ×8 opens and when its blending
    ends, as fractions of the training. A network without a scale ignores its entry.
    """

    kind: Literal["curriculum"] = "curriculum"
    blend_4: tuple[float, float] = (0.12, 0.25)
    blend_8: tuple[float, float] = (0.45, 0.60)

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        times = (0.0, *self.blend_4, *self.blend_8, 1.0)
        if list(times) != sorted(times):
            raise ValueError("blend_4 and blend_8 must be rising fractions between 0 and 1")
        return self


_Often = Annotated[float, Field(gt=0, le=1000)]


class Simultaneous(Settings):
    """Trains all scales of the network from the first step, without blending (4.1).

    `often` are the relative frequencies of ×2, ×4 and ×8; by default they are equal. (1, 2, 2)
    gives ×2 a fifth of the steps. Entries for scales that the network lacks are ignored.
    """

    kind: Literal["simultaneous"] = "simultaneous"
    often: tuple[_Often, _Often, _Often] | None = None


class Single(Settings):
    """Trains one scale (4.1)."""

    kind: Literal["single"] = "single"
    scale: Scale


Schedule = Annotated[Curriculum | Simultaneous | Single, Field(discriminator="kind")]

_Weight = Annotated[float, Field(ge=0)]


class Adversarial(Settings):
    """How a generator is trained against a discriminator: a recipe's table `adversarial`.

    `layout` replaces fields of the preset `discriminator`. `features` names the feature
    network and `file` its weights.

    Weights of the loss; terms with weight 0 are not computed. From Eq. 4: `gan`, and `perceptual`
    for pooling layers 2 and 4. `gan` may be one weight for each of ×2, ×4 and ×8. With `squared`,
    perceptual terms are mean squares instead of root mean squares. From Eq. 5: `pixel`. Not in the
    paper: `distance`, for `prosr.nets.features.feature_distance` with the weights `layers`, and
    `grid`, for `prosr.training.losses.grid_loss`.

    With `views`, each step resizes both pictures and permutes their channels at random before
    the feature network, so that their features also agree for other networks. In every
    `every`-th step the discriminator learns `turns` times, each time from an equal part of
    the batch. In each step the generator learns once. The run ends when the discriminator has been
    useless for `collapse_after` steps of one scale in a row. A sheet of samples is drawn every
    `sheet_every` steps.
    """

    discriminator: str
    layout: dict[str, Any] = Field(default_factory=dict)
    features: Literal["vgg16", "distilled"]
    file: Path
    gan: tuple[_Weight, _Weight, _Weight] = (1.0, 1.0, 1.0)
    perceptual: tuple[_Weight, _Weight] = (0.5, 2.0)
    squared: bool = False
    distance: _Weight = 0.0
    layers: tuple[_Weight, ...] | None = None
    views: bool = False
    pixel: _Weight = 0.0
    grid: _Weight = 0.0
    learning_rate: float = Field(default=1e-4, gt=0)
    turns: int = Field(default=1, gt=0)
    every: int = Field(default=1, gt=0)
    collapse_after: int = Field(default=500, gt=0)
    sheet_every: int = Field(default=1000, gt=0)

    @property
    def net(self) -> DiscriminatorConfig | SRGANDiscriminatorConfig:
        """The discriminator's layout: the preset with the recipe's changes."""
        if self.discriminator not in DISCRIMINATORS:
            near = suggestion(self.discriminator, DISCRIMINATORS)
            raise ConfigError(f"discriminator: there is no {self.discriminator!r}{near}")
        return replaced(DISCRIMINATORS[self.discriminator], self.layout)

    @field_validator("gan", mode="before")
    @classmethod
    def _is_equal_for_all_scales_by_default(cls, value: object) -> object:
        return (value,) * 3 if isinstance(value, int | float) else value

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        _ = self.net
        if not any((*self.gan, *self.perceptual, self.distance, self.pixel, self.grid)):
            raise ValueError("gan: every term of the loss has weight 0; raise one of them")
        count = FEATURE_LAYERS[self.features]
        if self.layers is not None and (len(self.layers) != count or not any(self.layers)):
            raise ValueError(
                f"layers: {self.features} has {count} layers; give a weight for each, not all 0"
            )
        return self


_Beta = Annotated[float, Field(ge=0, lt=1)]


class Recipe(Settings):
    """How a network is trained. Defaults are the paper's values where it gives them.

    `layout` replaces fields of the preset `model`. `patch` is the side of x in pixels for ×2, ×4 and
    ×8. The learning rate rises over `warmup` steps; with `decay = "cosine"` it then falls to zero at
    the last step. `betas` are Adam's. `muon` is the rate of Muon for kernels between features, which
    changes in proportion; without it, Adam trains all parameters. `clip` bounds the norm of the
    gradient. `ema` is the decay of the averaged weights, which are scored and exported. `norm` is
    1 as in Eq. 5, or 2 for its root mean square. With `adversarial`, the objective is Eq. 4.
    `degradation` says what x went through.
    """

    model: str
    layout: dict[str, Any] = Field(default_factory=dict)
    steps: int = Field(gt=0, le=10**12)
    batch: int = Field(default=16, gt=0, le=10**6)
    patch: tuple[Count, Count, Count] = (48, 36, 24)
    schedule: Schedule = Curriculum()
    learning_rate: float = Field(default=1e-4, gt=0)
    betas: tuple[_Beta, _Beta] = (0.9, 0.999)
    muon: float | None = Field(default=None, gt=0)
    warmup: int = Field(default=0, ge=0)
    decay: Literal["none", "cosine"] = "none"
    clip: float | None = Field(default=None, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)
    norm: Literal[1, 2] = 1
    adversarial: Adversarial | None = None
    degradation: Degradation = Degradation()
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**63)
    log_every: int = Field(default=50, gt=0)
    validate_every: int = Field(default=1000, gt=0)
    save_minutes: float = Field(default=5.0, gt=0)

    @property
    def net(self) -> NetConfig:
        """The network's layout: the preset with the recipe's changes."""
        return replaced(preset(self.model), self.layout)

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales that the recipe trains."""
        return (self.schedule.scale,) if isinstance(self.schedule, Single) else self.net.scales

    @field_validator("schedule", mode="before")
    @classmethod
    def _is_a_curriculum_by_default(cls, value: object) -> object:
        return {"kind": "curriculum", **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _parts_fit(self) -> Self:
        net = self.net
        if isinstance(net, layouts.BicubicConfig):
            raise ValueError(f"{self.model} has no parameters to train; name another model")
        known = ", ".join(map(str, net.scales))
        match self.schedule:
            case Single(scale=scale) if scale not in net.scales:
                raise ValueError(f"schedule.scale: {self.model} has no scale {scale}; use {known}")
            case Curriculum() if not isinstance(net, layouts.PyramidConfig) and known != "2":
                raise ValueError(
                    f"schedule: {self.model} has no levels to blend in; use kind = "
                    f'"simultaneous", or "single" and scale = {net.scales[-1]}'
                )
        if self.adversarial is not None:
            if self.norm != 1:
                raise ValueError("norm: has no effect with adversarial")
            self._adversary_fits(self.adversarial, net)
        return self

    def _adversary_fits(self, adversarial: Adversarial, net: NetConfig) -> None:
        if isinstance(net, layouts.LaplacianConfig):
            raise ValueError("adversarial: a Laplacian pyramid has no residual of φ_s(x) to judge")
        discriminator = adversarial.net
        exact = isinstance(discriminator, SRGANDiscriminatorConfig)
        if not set(net.scales) <= set(discriminator.scales):
            raise ValueError("adversarial.discriminator: has fewer scales than the model")
        for s, patch in zip(SCALES, self.patch, strict=True):
            # One pixel of x is cut off; see `prosr.training.adversarial`.
            side, smallest = s * (patch - 1), max(SMALLEST, discriminator.smallest(s))
            if s in net.scales and (side != smallest if exact else side < smallest):
                words = "a patch of" if exact else "at least"
                raise ValueError(f"patch: scale {s} needs {words} {-(-smallest // s) + 1}")


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a TOML recipe; `overrides` are `key=value` in TOML, dots reach into tables.

    Raises `ConfigError` naming the file and the key.
    """
    table = read_table(path)
    for override in overrides:
        _override(table, override)
    return validated(Recipe, table, str(path))


def read_table(path: Path) -> dict[str, Any]:
    """Parse a TOML file, or raise `ConfigError` naming it."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    # Tables nested too deeply raise RecursionError; all other failures are ValueErrors.
    except (OSError, ValueError, RecursionError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError(f"{path}: not a readable TOML recipe ({reason}); correct it") from error


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{override!r} is not key=value, as in batch=8")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    # Not TOML, nested too deeply, or an integer of too many digits.
    except (ValueError, RecursionError):
        value = text.strip()
    *tables, last = key.strip().split(".")
    for name in tables:
        table = table.setdefault(name, {})
        if not isinstance(table, dict):
            raise ConfigError(f"{override!r}: {name} is a value, not a table")
    table[last] = value
