"""Frozen settings: the networks' presets and the recipes that train them.

A number lives in exactly one of: a default here, a preset row, a recipe file.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from prosr.errors import ConfigError

Scale = Literal[2, 4, 8]
SCALES: tuple[Scale, ...] = (2, 4, 8)


def check_scale(scale: int) -> Scale:
    """Return `scale` if it is one that the networks know, or raise `ConfigError`."""
    for known in SCALES:
        if scale == known:
            return known
    raise ConfigError(f"scale {scale} is not one of {', '.join(map(str, SCALES))}")


class Frozen(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())


class ProSRConfig(Frozen):
    """Layout of a ProSR generator (3.1, 3.2).

    `dcus` holds, for each level, the number of dense layers in each of its DCUs.
    Fractions are of the channels that enter: `dcu_compression` of a DCU's concatenated
    channels (plain variant; the residual one compresses back to the level's width),
    `level_compression` from one level to the next. `upsampled` is the number of channels
    that each level's upsampler gives; unless set, as many as it gets.
    """

    kind: Literal["prosr"] = "prosr"
    features: int = Field(gt=0)
    growth: tuple[int, int, int]
    bottleneck: int = Field(default=4, gt=0, description="width of a dense layer's 1×1, in k")
    dcus: tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
    residual: bool = False
    residual_scale: float = 0.2
    dcu_compression: float = Field(default=0.4, gt=0, le=1)
    level_compression: float = Field(default=1.0, gt=0, le=1)
    upsampled: tuple[int, int, int] | None = None
    max_features: int | None = Field(default=None, gt=0)
    padding: Literal["reflect", "zeros"] = "reflect"
    value_range: float = Field(default=255.0, gt=0, description="units of input and residual")


class BicubicConfig(Frozen):
    """φ_s alone: the baseline of every table."""

    kind: Literal["bicubic"] = "bicubic"


NetConfig = Annotated[ProSRConfig | BicubicConfig, Field(discriminator="kind")]
_NET: TypeAdapter[ProSRConfig | BicubicConfig] = TypeAdapter(NetConfig)

_L = partial(ProSRConfig, features=160, growth=(40, 40, 40), residual=True)
_S = partial(ProSRConfig, growth=(12, 12, 12), level_compression=0.5, max_features=312)
_XS = partial(ProSRConfig, residual=True, padding="zeros", value_range=1.0, bottleneck=2)

# fmt: off
PRESETS: dict[str, ProSRConfig | BicubicConfig] = {
    # name         layout                                                                               parameters
    "bicubic":      BicubicConfig(),                                                                    # 0
    "prosr-l":      _L(dcus=((8,) * 9, (8,) * 3, (8,))),                                                # 15,537,609
    "prosr-s":      _S(dcus=((6,) * 6, (6,) * 2, (8,)), features=64),                                   # 3,059,153
    "prosr-s-2018": _S(dcus=((6,) * 4, (6,) * 2, (6,)), features=24),                                   # 2,550,191
    "prosr-xs":     _XS(dcus=((3, 3, 3, 2), (3,), (2,)), features=64, growth=(32, 16, 8), upsampled=(24, 16, 8)),  # 457,185
}
# fmt: on


def net_config(value: Mapping[str, Any]) -> ProSRConfig | BicubicConfig:
    """Validate a mapping (from a weights file's header) as a network's layout."""
    try:
        return _NET.validate_python(value)
    except ValidationError as error:
        raise ConfigError(_first_problem(error)) from error


def preset(name: str) -> ProSRConfig | BicubicConfig:
    """Return the preset called `name`, or raise `ConfigError` with the nearest name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise ConfigError(f"no model is called {name!r}{_suggestion(name, PRESETS)}") from None


class Curriculum(Frozen):
    """When the levels come in, as fractions of training (3.4)."""

    kind: Literal["curriculum"] = "curriculum"
    blend_4: tuple[float, float] = (0.12, 0.25)
    blend_8: tuple[float, float] = (0.45, 0.60)

    @model_validator(mode="after")
    def _in_order(self) -> Curriculum:
        times = (0.0, *self.blend_4, *self.blend_8, 1.0)
        if list(times) != sorted(times):
            raise ValueError("blend_4 and blend_8 must be rising fractions between 0 and 1")
        return self


class Recipe(Frozen):
    """How a network is trained. The defaults are the paper's, for what it states.

    `patch` is the side of x in pixels for 2, 4 and 8 times. The learning rate rises over
    `warmup` steps and, with `decay = "cosine"`, falls to zero at the last step. `clip`
    bounds the gradient's norm. `ema` is the decay of the averaged weights, which are the
    ones that are scored and exported.
    """

    model: str
    steps: int = Field(gt=0)
    batch: int = Field(default=16, gt=0)
    patch: tuple[int, int, int] = (48, 36, 24)
    schedule: Curriculum = Curriculum()
    learning_rate: float = Field(default=1e-4, gt=0)
    betas: tuple[float, float] = (0.9, 0.999)
    warmup: int = Field(default=0, ge=0)
    decay: Literal["none", "cosine"] = "none"
    clip: float | None = Field(default=None, gt=0)
    ema: float = Field(default=0.999, ge=0, lt=1)
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    seed: int = Field(default=0, ge=0)
    log_every: int = Field(default=50, gt=0)
    validate_every: int = Field(default=1000, gt=0)
    save_minutes: float = Field(default=5.0, gt=0)

    @model_validator(mode="after")
    def _known(self) -> Recipe:
        if isinstance(preset(self.model), BicubicConfig):
            raise ValueError(f"{self.model} has nothing to train")
        if min(self.patch) < 1:
            raise ValueError("patch: every side must be at least 1")
        return self


def load_recipe(path: Path, overrides: Sequence[str] = ()) -> Recipe:
    """Read a TOML recipe; `overrides` are `key=value` in TOML, dots reach into tables.

    Raises `ConfigError` naming the file and the key, with a suggestion for an unknown one.
    """
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"{path}: no such recipe") from None
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigError(f"{path}: not a readable TOML recipe ({error})") from error
    for override in overrides:
        _override(table, override)
    try:
        return Recipe.model_validate(table)
    except ValidationError as error:
        raise ConfigError(f"{path}: {_first_problem(error)}") from error


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


def _suggestion(word: str, known: Sequence[str] | Mapping[str, Any]) -> str:
    near = difflib.get_close_matches(word, list(known), n=1)
    return f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(known)}"


def _first_problem(error: ValidationError) -> str:
    # A misspelt key also makes its right spelling "missing": the misspelling is the news.
    problem = min(error.errors(), key=lambda p: p["type"] != "extra_forbidden")
    *tables, key = problem["loc"] or ("",)
    name = ".".join(map(str, (*tables, key)))
    if problem["type"] == "extra_forbidden":
        model = Curriculum if tables else Recipe
        return f"unknown key {name!r}{_suggestion(str(key), model.model_fields)}"
    message = problem["msg"].removeprefix("Value error, ")
    return f"{name}: {message}" if name else message
