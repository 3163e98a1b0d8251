"""Rows of scores and their JSON files, the source of every printed score."""

from __future__ import annotations

from collections.abc import Iterable
from importlib.resources import files
from pathlib import Path
from typing import TypeVar

from pydantic import Field, TypeAdapter, ValidationError

from prosr.errors import ConfigError
from prosr.evaluation.provenance import Machine
from prosr.files import only_here, write_rows
from prosr.layouts import Frozen

T = TypeVar("T")


class PictureScore(Frozen):
    """Scores of one picture, and the seconds that upscaling it took.

    `also` has the further scores of `prosr.evaluation.perceptual` by name.
    """

    name: str
    psnr: float
    ssim: float | None
    consistency: float | None
    seconds: float
    also: dict[str, float] = Field(default_factory=dict)


class ScoreRow(Frozen):
    """Scores of one model on one set at one scale under one protocol.

    PSNR and consistency are in dB. Scores are means over the pictures; `seconds` and
    `megapixels` of output are sums. `weights` is the SHA-256 of the parameters, None for a
    model without any. `engine` is the engine's name and precision. `commit` is None outside a
    checkout. `pictures` is empty where only means are kept, as in the package's own scores.
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
    engine: str
    machine: Machine
    prosr: str
    commit: str | None
    pictures: tuple[PictureScore, ...]

    @property
    def key(self) -> tuple[str, str, str, int]:
        """Model, protocol, set and scale: a results file has one row for each key."""
        return self.model, self.protocol, self.set, self.scale


_ROWS = TypeAdapter(tuple[ScoreRow, ...])


def read_results(path: Path) -> tuple[ScoreRow, ...]:
    """Read a results file, or raise `ConfigError` with its name."""
    return read_json(path, _ROWS, "a results file")


def read_json(path: Path, form: TypeAdapter[T], what: str) -> T:
    """Read a JSON file of this form; `what` names it in the `ConfigError` for any other."""
    try:
        return form.validate_json(path.read_bytes())
    except OSError as error:
        raise ConfigError(f"{path}: {error.strerror}; give {what}") from error
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(map(str, problem["loc"]))
        found = f"{place}: {problem['msg']}" if place else problem["msg"]
        raise ConfigError(f"{path} is not {what} ({found}); move it away") from error


def known_results() -> tuple[ScoreRow, ...]:
    """Scores that come with the package: bundled models, bicubic, other released weights."""
    return _ROWS.validate_json((files("prosr") / "weights" / "scores.json").read_bytes())


def save_results(path: Path, rows: Iterable[ScoreRow]) -> None:
    """Add `rows` to the results file `path`, sorted by key; create it if it does not exist.

    A row replaces an old one with its key. Without rows, this checks that results can be saved.
    Processes take turns. Raises `ConfigError` for another file, `ProSRError` if it cannot write.
    """
    with only_here(path, is_file=True):
        old = read_results(path) if path.exists() else ()
        found = {row.key: row for row in (*old, *rows)}
        write_rows(
            path, (found[k].model_dump(mode="json", exclude_defaults=True) for k in sorted(found))
        )
