"""Frozen settings: the networks' presets and the recipes that train them.

A number lives in exactly one of: a default here, a preset row, a recipe file.
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from functools import cache, partial, reduce
from operator import or_
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    Field,
    TypeAdapter,
    ValidationError,
    field_validator,
    model_validator,
)

from prosr.adversary import SMALLEST, Adversarial, SRGANDiscriminatorConfig
from prosr.errors import ConfigError, suggestion
from prosr.layouts import (
    MOST,
    SCALES,
    BaselineConfig,
    BicubicConfig,
    DirectConfig,
    LaplacianConfig,
    ProSRConfig,
    Scale,
    Settings,
)


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


NetConfig = ProSRConfig | LaplacianConfig | DirectConfig | BicubicConfig | BaselineConfig

_L = partial(
    ProSRConfig, features=160, growth=(40,) * 3, residual=True, dcus=((8,) * 9, (8,) * 3, (8,))
)
_S = partial(ProSRConfig, growth=(12, 12, 12), level_compression=0.5, max_features=312)
_XS = partial(
    ProSRConfig, features=64, growth=(32, 16, 8), dcus=((3, 3, 3, 2), (3,), (2,)), bottleneck=2,
    residual=True, upsampled=(24, 16, 8), padding="zeros", value_range=1.0,
)  # fmt: skip
# Table 1's dense layers, 24 of growth 12 for ×4, and its levels; Table 3 has the same levels.
_T1_DIRECT = partial(DirectConfig, features=24, growth=12, dcu_compression=0.5)
_T1_LEVELS = partial(ProSRConfig, features=24, dcu_compression=0.5, level_compression=0.5)
_T3_LEVELS = partial(LaplacianConfig, features=24, dcu_compression=0.5, level_compression=0.5)

# fmt: off
PRESETS: dict[str, NetConfig] = {
    # name               layout                                                                               parameters (of ×2 and ×4)
    "bicubic":           BicubicConfig(),                                                                     # 0
    "prosr-l":           _L(),                                                                                # 15,537,609
    "prosr-s":           _S(dcus=((6,) * 6, (6,) * 2, (8,)), features=64),                                    # 3,059,153
    "prosr-s-2018":      _S(dcus=((6,) * 4, (6,) * 2, (6,)), features=24),                                    # 2,550,191
    "prosr-xs":          _XS(),                                                                                # 457,185
    "progansr-l":        _L(back_projections=2),                                                              # 15,537,609
    "progansr-xs":       _XS(back_projections=2),                                                             # 457,185
    "table1-block":      _T1_DIRECT(dcus=(24,), batch_norm=True),                                             # 8,219,331
    "table1-dcus":       _T1_DIRECT(dcus=(6,) * 4),                                                           # 1,786,167
    "table1-asymmetric": _T1_LEVELS(dcus=((6,) * 3, (6,)), growth=(12,) * 2),                                 # 1,889,010
    "table1-curriculum": _T1_LEVELS(dcus=((6,) * 3, (6,), (6,)), growth=(12,) * 3),                           # (1,889,010)
    "table1-very-deep":  _L(),                                                                                # (13,427,206)
    "table3-laplacian":  _T3_LEVELS(dcus=((6,) * 3, (6,), (6,)), growth=(12,) * 3),                           # (1,889,010)
}
# fmt: on
"""Of the paper's networks; `presets` has those of other systems too."""


@cache
def presets() -> Mapping[str, NetConfig]:
    """All presets by name: `PRESETS`, then those of the systems in `prosr.nets.baselines`."""
    from prosr.nets import baselines

    return MappingProxyType({**PRESETS, **baselines.PRESETS})


def preset(name: str) -> NetConfig:
    """Return the preset called `name`, or raise `ConfigError` with the nearest name."""
    known = PRESETS if name in PRESETS else presets()
    try:
        return known[name]
    except KeyError:
        raise ConfigError(f"no model is called {name!r}{suggestion(name, known)}") from None


def net_config(value: Mapping[str, Any]) -> NetConfig:
    """Validate a mapping (from a weights file's header) as a network's layout."""
    layouts: tuple[type[BaseModel], ...] = _OWN
    if not isinstance(value, Mapping):
        raise ConfigError("it is no table")
    if value.get("kind") not in _OWN_KINDS:
        from prosr.nets import baselines

        layouts += baselines.LAYOUTS
    try:
        return _adapter(layouts).validate_python(value)
    except ValidationError as error:
        raise ConfigError(first_problem(error, Recipe, layouts)) from error


@cache
def _adapter(layouts: tuple[type[BaseModel], ...]) -> TypeAdapter[NetConfig]:
    union: Any = reduce(or_, layouts)
    return TypeAdapter(Annotated[union, Field(discriminator="kind")])


_Often = Annotated[float, Field(gt=0, le=1000)]


class Curriculum(Settings):
    """×2 first, then one level after another (3.4); when, is in fractions of training.

    A network without ×8 never comes to `blend_8`.
    """

    kind: Literal["curriculum"] = "curriculum"
    blend_4: tuple[float, float] = (0.12, 0.25)
    blend_8: tuple[float, float] = (0.45, 0.60)

    @model_validator(mode="after")
    def _in_order(self) -> Curriculum:
        times = (0.0, *self.blend_4, *self.blend_8, 1.0)
        if list(times) != sorted(times):
            raise ValueError("blend_4 and blend_8 must be rising fractions between 0 and 1")
        return self


class Simultaneous(Settings):
    """All of the network's scales from the first step on, without blending (4.1).

    Each is drawn as often as the others, or as `often` says of 2, 4 and 8 times: (1, 2, 2)
    gives ×2 a fifth of the steps. Those of scales that the network lacks do not count.
    """

    kind: Literal["simultaneous"] = "simultaneous"
    often: tuple[_Often, _Often, _Often] | None = None


class Single(Settings):
    """One scale alone (4.1)."""

    kind: Literal["single"] = "single"
    scale: Scale


Schedule = Annotated[Curriculum | Simultaneous | Single, Field(discriminator="kind")]


_Beta = Annotated[float, Field(ge=0, lt=1)]


class Recipe(Settings):
    """How a network is trained. The defaults are the paper's, for what it states.

    `layout` changes fields of the preset `model`, for a narrower relative of it. `patch` is
    the side of x in pixels for 2, 4 and 8 times. The learning rate rises over `warmup` steps
    and, with `decay = "cosine"`, falls to zero at the last step. `muon` is Muon's rate for the
    kernels between features, which changes with `learning_rate`; unless it is set, Adam trains
    all. `clip` bounds the gradient's norm. `ema` is the decay of the averaged weights, which
    are the ones that are scored and exported. With `adversarial` the objective is Eq. 4
    instead of Eq. 5.
    """

    model: str
    layout: dict[str, Any] = Field(default_factory=dict)
    steps: int = Field(gt=0, le=10**12)
    batch: int = Field(default=16, gt=0, le=10**6)
    patch: tuple[int, int, int] = (48, 36, 24)
    schedule: Schedule = Curriculum()
    learning_rate: float = Field(default=1e-4, gt=0)
    betas: tuple[_Beta, _Beta] = (0.9, 0.999)
    muon: float | None = Field(default=None, gt=0)
    warmup: int = Field(default=0, ge=0)
    decay: Literal["none", "cosine"] = "none"
    clip: float | None = Field(default=None, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)
    adversarial: Adversarial | None = None
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(default=0, ge=0, lt=2**63)
    log_every: int = Field(default=50, gt=0)
    validate_every: int = Field(default=1000, gt=0)
    save_minutes: float = Field(default=5.0, gt=0)

    @property
    def net(self) -> NetConfig:
        """The network's layout: the preset with the recipe's changes."""
        config = preset(self.model)
        if not self.layout:
            return config
        if "kind" in self.layout:
            raise ConfigError("layout: kind cannot be changed; name another model")
        try:
            return net_config(config.model_dump() | self.layout)
        except ConfigError as error:
            raise ConfigError(f"layout: {error}") from error

    @property
    def scales(self) -> tuple[Scale, ...]:
        """The scales that are open at some time."""
        return (self.schedule.scale,) if isinstance(self.schedule, Single) else self.net.scales

    @field_validator("schedule", mode="before")
    @classmethod
    def _curriculum_unless_said(cls, value: object) -> object:
        return {"kind": "curriculum", **value} if isinstance(value, dict) else value

    @model_validator(mode="after")
    def _known(self) -> Self:
        net = self.net
        if isinstance(net, BicubicConfig):
            raise ValueError(f"{self.model} has nothing to train")
        if not 1 <= min(self.patch) <= max(self.patch) <= MOST:
            raise ValueError(f"patch: every side must be from 1 to {MOST}")
        if self.adversarial is not None:
            _check_adversary(self.adversarial, net, self.batch, self.patch)
        first, possible = self.scales[0], ", ".join(map(str, net.scales))
        if first not in net.scales:
            raise ValueError(f"schedule.scale: {self.model} has no scale {first}; use {possible}")
        if isinstance(self.schedule, Curriculum) and first != SCALES[0]:
            raise ValueError(
                f"schedule: {self.model} has scale {possible} only, nothing for a curriculum; "
                f'use kind = "single" and scale = {first}'
            )
        blends = isinstance(self.schedule, Curriculum) and len(net.scales) > 1
        if blends and isinstance(net, BaselineConfig):
            raise ValueError(
                f"schedule: {self.model} has no levels to blend in; "
                'use kind = "simultaneous" or "single"'
            )
        return self


def _check_adversary(
    adversarial: Adversarial, net: NetConfig, batch: int, patch: tuple[int, int, int]
) -> None:
    if isinstance(net, LaplacianConfig):
        raise ValueError("adversarial: a Laplacian pyramid has no residual of φ_s(x) to judge")
    if not set(net.scales) <= set(adversarial.net.scales):
        raise ValueError("adversarial.discriminator: has fewer scales than the model")
    if batch % adversarial.turns:
        raise ValueError(f"adversarial.turns: {adversarial.turns} do not share {batch} evenly")
    judge = adversarial.net
    side = judge.side if isinstance(judge, SRGANDiscriminatorConfig) else None
    for s, p in zip(SCALES, patch, strict=True):
        if side and s in net.scales and s * (p - 1) != side:
            raise ValueError(
                f"patch: {adversarial.discriminator} judges {side}×{side} pixels, for which "
                f"scale {s} needs a patch of {side // s + 1}"
            )
    if any(s * (p - 1) < SMALLEST for s, p in zip(SCALES, patch, strict=True)):
        least = [SMALLEST // s + 1 for s in SCALES]
        raise ValueError(f"patch: the features of an adversarial recipe need at least {least}")


def recipe_from(value: Mapping[str, Any]) -> Recipe:
    """Validate a mapping as a recipe; what it leaves out has its default."""
    try:
        return Recipe.model_validate(value)
    except ValidationError as error:
        raise ConfigError(first_problem(error, Recipe)) from error


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a TOML recipe; `overrides` are `key=value` in TOML, dots reach into tables.

    Raises `ConfigError` naming the file and the key, with a suggestion for an unknown one.
    """
    table = read_table(path)
    for override in overrides:
        _override(table, override)
    try:
        return recipe_from(table)
    except ConfigError as error:
        raise ConfigError(f"{path}: {error}") from error


def read_table(path: Path) -> dict[str, Any]:
    """What a TOML recipe holds, or raise `ConfigError` naming the file."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8-sig"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such recipe") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a readable TOML recipe ({error})") from error
    except RecursionError:
        raise ConfigError(f"{path}: not a readable TOML recipe (nested too deeply)") from None


def _override(table: dict[str, Any], override: str) -> None:
    key, equals, text = override.partition("=")
    if not equals or not key.strip():
        raise ConfigError(f"{override!r} is not key=value, as in batch=8")
    try:
        value = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        value = text.strip()
    *tables, last = key.strip().split(".")
    for name in tables:
        inner = table.setdefault(name, {})
        if not isinstance(inner, dict):
            raise ConfigError(f"{override!r}: {name} is a value, not a table")
        table = inner
    table[last] = value


def _by_kind(models: Iterable[type[BaseModel]]) -> dict[object, type[BaseModel]]:
    return {model.model_fields["kind"].default: model for model in models}


_OWN = (ProSRConfig, LaplacianConfig, DirectConfig, BicubicConfig)
_OWN_KINDS = tuple(_by_kind(_OWN))
_SCHEDULES = (Curriculum, Simultaneous, Single)

_PLAINLY = {
    "missing": "is missing",
    "string_type": "must be text",
    "tuple_type": "must be a list",
}
_PLAINLY |= dict.fromkeys(("dict_type", "model_type"), "must be a table")
_PLAINLY |= dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "must be a whole number")
_PLAINLY |= dict.fromkeys(("float_type", "float_parsing"), "must be a number")


def first_problem(
    error: ValidationError, root: type[BaseModel], layouts: Iterable[type[BaseModel]] = ()
) -> str:
    """One line on what is wrong with a mapping that `root` refuses, with a suggestion.

    `layouts` are those that the mapping may be, if it is one of a network.
    """
    models = _by_kind((*layouts, *_SCHEDULES))
    # A misspelt key also makes its right spelling "missing": the misspelling is the news.
    problem = min(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    # A key can have the name of a kind, but a kind never ends what is said of a key.
    *before, last = problem["loc"] or ("",)
    kinds = [part for part in before if part in models]
    keys = [str(part) for part in (*before, last) if part is last or part not in models]
    name = ".".join(keys)
    if problem["type"] == "extra_forbidden":
        model = models[kinds[-1]] if kinds else root
        if keys[0] == "adversarial" and len(keys) > 1:
            model = Adversarial
        return f"unknown key {name!r}{suggestion(keys[-1], model.model_fields)}"
    if problem["type"] == "union_tag_invalid":
        tag, known = (str(problem["ctx"][key]) for key in ("tag", "expected_tags"))
        near = suggestion(tag, known.strip("'").split("', '"))
        return f"{'.'.join([*keys, 'kind'])}: there is no {tag!r}{near}"
    message = _PLAINLY.get(problem["type"], problem["msg"].removeprefix("Value error, "))
    return f"{name}: {message}" if name else message
