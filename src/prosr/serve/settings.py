"""Settings of the service: limits, and the share of each process."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, NamedTuple

from pydantic import BaseModel, ConfigDict, Field, PositiveFloat, PositiveInt, ValidationError

from prosr.errors import ConfigError
from prosr.inference.memory import core_count

_SERVER, _WORKER = 250_000_000, 350_000_000
"""Bytes for the server with its inspector, and for a worker that enlarges in tiles of useful size.
Without load, 60 and 75 MB were measured for the server and its inspector."""

EXPRESS, PREVIEWER = "express", "previewer"
MODELS = ("auto", "prosr-xs", "prosr-xs-real", "progansr-xs", "progansr-xs-real", "bicubic")

_CORES = 4
"""Cores of a worker. More of them speed up one picture less than several pictures side by side."""


class Limits(BaseModel):
    """Limits of the service, each of which a TOML file may set."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    upload_bytes: PositiveInt = 200_000_000  # of one request
    pictures: PositiveInt = 100  # of one job
    input_pixels: PositiveInt = 100_000_000
    output_pixels: PositiveInt = 500_000_000
    small_pixels: PositiveInt = 300_000  # of pictures that do not wait for larger ones
    queue: PositiveInt = 500  # pictures that wait, of all clients
    requests: PositiveInt = 300  # that a client may submit in a minute
    seconds: PositiveFloat = 3600.0  # for one picture
    keep_seconds: PositiveFloat = 86_400.0  # for which a finished job is kept
    disk_bytes: PositiveInt = 20_000_000_000  # of all uploads and results
    free_bytes: PositiveInt = 1_000_000_000  # that stay free on the disk
    grace_seconds: PositiveFloat = 20.0  # for running pictures when the service stops
    models: Annotated[tuple[str, ...], Field(min_length=1)] = MODELS

    @property
    def names(self) -> dict[str, str]:
        """The models, which are names or weights files, by the names that clients use."""
        return {Path(model).name.removesuffix(".safetensors"): model for model in self.models}


class Plan(NamedTuple):
    """Names of the enlarging processes, in order of need; threads and bytes of each."""

    workers: list[str]
    threads: int
    memory: int


def read_limits(path: Path | None) -> Limits:
    """The limits of a TOML file, or the defaults. Raises `ConfigError`."""
    try:
        return Limits(**tomllib.loads(path.read_text(encoding="utf-8")) if path else {})
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{path}: {first['loc'][0]}: {first['msg']}; correct it") from error
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path}: not a readable TOML file ({error}); correct it") from error


def plan_workers(max_memory: int) -> Plan:
    """Divide memory and cores. Raises `ConfigError` if the memory is too little for one worker."""
    cores, left = core_count(), max_memory - _SERVER
    most = left // _WORKER
    if most < 1:
        least = f"{(_SERVER + _WORKER) / 1e9:.1f} GB"
        raise ConfigError(f"{max_memory / 1e9:.2g} GB are too little memory; give at least {least}")
    general = max(1, min(cores // _CORES, most - 1))
    names = [*(f"general-{number}" for number in range(general)), PREVIEWER, EXPRESS]
    return Plan(names[:most], max(1, cores // general), left // min(most, len(names)))
