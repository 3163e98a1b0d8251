"""Rows of scores and the JSON files that keep them: the source of every printed number."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import ConfigDict, Field, TypeAdapter, ValidationError

from prosr.errors import ConfigError
from prosr.evaluation.provenance import Machine
from prosr.files import check_writable, write_rows
from prosr.layouts import Frozen

Key = tuple[str, str, str, int]


class Value(Frozen):
    # Equal pictures have infinite PSNR, for which JSON has no number.
    model_config = ConfigDict(ser_json_inf_nan="strings")


class PictureScore(Value):
    """One picture's scores; `seconds` is the time its enlarging took.

    `also` holds what of `prosr.evaluation.perceptual` was asked for, by its names.
    """

    name: str
    psnr: float
    ssim: float | None
    consistency: float | None
    seconds: float
    also: dict[str, float] = Field(default_factory=dict)


class Row(Value):
    """Scores of one model on one set at one scale under one protocol.

    PSNR and consistency are in dB; scores are means over the pictures, `seconds` and
    `megapixels` (of enlarged pictures) are sums. `weights` is the SHA-256 of the
    parameters, None for a model without any; `engine` and its precision enlarged;
    `commit` is None outside a checkout.
    """

    model: str
    set: str
    scale: int
    protocol: str
    psnr: float
    ssim: float | None
    consistency: float | None
    seconds: float
    megapixels: float
    also: dict[str, float] = Field(default_factory=dict)
    weights: str | None
    engine: str = "torch fp32"
    machine: Machine
    prosr: str
    commit: str | None
    pictures: tuple[PictureScore, ...] = Field(min_length=1)

    @property
    def key(self) -> Key:
        """What a results file has at most one row for."""
        return self.model, self.protocol, self.set, self.scale


class Means(Row):
    """A row of which only the means are kept."""

    pictures: tuple[PictureScore, ...] = ()


_ROWS = TypeAdapter(tuple[Row, ...])
_MEANS = TypeAdapter(tuple[Means, ...])


def read_results(path: Path) -> tuple[Row, ...]:
    """Rows of a results file, or raise `ConfigError` naming it."""
    try:
        return _ROWS.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give a results file") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        what = f"{place}: {problem['msg']}" if place else problem["msg"]
        raise ConfigError(f"{path} is not a results file ({what}); move it away") from error


def known_results() -> tuple[Means, ...]:
    """Scores of bundled networks, the bicubic and other systems' released weights."""
    return _MEANS.validate_json((files("prosr") / "weights" / "scores.json").read_bytes())


def merge(old: Iterable[Row], new: Iterable[Row]) -> list[Row]:
    """All rows, a new one in place of an old one with its key, sorted by key."""
    rows = {row.key: row for row in (*old, *new)}
    return [rows[key] for key in sorted(rows)]


def save_results(path: Path, rows: Sequence[Row]) -> None:
    """Merge `rows` into the results file `path`, new or not, atomically; one line for each row."""
    old = read_results(path) if path.exists() else ()
    write_rows(path, map(to_json, merge(old, rows)))


def check_results(path: Path) -> None:
    """Raise `ConfigError` or `ProSRError` for a file that results could not be added to."""
    if path.exists():
        save_results(path, [])
    else:
        check_writable(path)


def to_json(row: Row) -> dict[str, Any]:
    """What a results file holds of a row."""
    # Infinite PSNR becomes a string only on the way to JSON text.
    values: dict[str, Any] = json.loads(row.model_dump_json())
    for scores in (values, *values["pictures"]):
        if not scores["also"]:
            del scores["also"]
    return values
