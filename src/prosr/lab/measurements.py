"""Rows of timings, their JSON files and tables, and the machine's peak speed for comparison."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from prosr.evaluation.provenance import Machine, commit, machine
from prosr.evaluation.results import read_json
from prosr.evaluation.timing import Subject, Timing
from prosr.files import write_rows, write_text
from prosr.lab.tables import NOTHING, markdown
from prosr.layouts import Frozen
from prosr.version import __version__

PEAK_SIDE, _PRODUCTS = 2048, 8
PEAK_MACS = _PRODUCTS * PEAK_SIDE**3
"""MACs of one call of `matrix_products`."""


class TimingRow(Frozen):
    """Time and cost of one call of `subject` in a `case`, measured in turns with others.

    `seconds` is the median over `rounds`, `quartiles` are the first and third. Per call:
    `multiply_adds` (MACs, two floating-point operations each), `pictures` and `megapixels` of
    output. `memory` is the peak of the process in bytes. `parameters` are the network's. `waiting`
    is the fraction of time that training waits for batches. `share` is the fraction of the peak
    speed of matrix products in the same precision. `agreement` is the PSNR in dB against the
    reference. `engine` is the engine's name and precision.
    """

    case: str
    subject: str
    seconds: float
    quartiles: tuple[float, float]
    best: float
    rounds: int
    multiply_adds: int | None = None
    pictures: int | None = None
    memory: int | None = None
    parameters: int | None = None
    waiting: float | None = None
    megapixels: float | None = None
    share: float | None = None
    agreement: float | None = None
    engine: str | None = None
    machine: Machine
    prosr: str
    commit: str | None

    @property
    def gflops(self) -> float | None:
        """10⁹ floating-point operations per second."""
        return 2e-9 * self.multiply_adds / self.seconds if self.multiply_adds else None


def measured(timing: Timing) -> dict[str, Any]:
    """The values of a row from a measurement that this process has just made."""
    return {
        "seconds": round(timing.median, 6),
        "quartiles": tuple(round(seconds, 6) for seconds in timing.quartiles),
        "best": round(min(timing.seconds), 6),
        "rounds": len(timing.seconds),
        "machine": machine(),
        "prosr": __version__,
        "commit": commit(),
    }


def fast_types() -> list[str]:
    """Types that the hardware supports for `matrix_products`: "fp32", and perhaps "bf16".

    Emulated bfloat16 is excluded: a single product took a minute (2 cores with AVX2).
    """
    import torch

    if torch.cuda.is_available():
        has_bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        # Older releases of PyTorch do not have it.
        capabilities: dict[str, object] = getattr(torch.cpu, "get_capabilities", dict)()
        has_bf16 = bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return ["fp32", *(["bf16"] if has_bf16 else [])]


def matrix_products(type_name: str) -> Subject:
    """Make a subject that multiplies square matrices, to measure the machine's peak speed.

    One call has `PEAK_MACS`. It computes several products in a row: a single bfloat16 product
    reached only half the speed of AMX, because waking the cores and allocating its result took as
    long.
    """
    import torch

    dtype = {"fp32": torch.float32, "bf16": torch.bfloat16}[type_name]
    a, b, c = (torch.full((PEAK_SIDE, PEAK_SIDE), 0.5, dtype=dtype) for _ in range(3))

    def multiply() -> None:
        for _ in range(_PRODUCTS):
            torch.mm(a, b, out=c)

    return multiply


_ROWS = TypeAdapter(list[TimingRow])


def add_rows(path: Path, rows: Sequence[TimingRow]) -> None:
    """Merge rows into the file `path`, one per line, and write Markdown beside it.

    New rows replace old ones of the same case and subject.
    """
    new = {(row.case, row.subject) for row in rows}
    old = read_rows(path) if path.exists() else []
    every = [*(row for row in old if (row.case, row.subject) not in new), *rows]
    write_rows(path, (row.model_dump(mode="json") for row in every))
    write_text(path.with_suffix(".md"), to_markdown(every) + "\n")


def read_rows(path: Path) -> list[TimingRow]:
    """Read a file of `add_rows`; raise `ConfigError` for any other file."""
    return read_json(path, _ROWS, "a file of measurements")


Cell = Callable[[TimingRow], str | None]

COLUMNS: dict[str, Cell] = {
    "case": lambda row: row.case,
    "subject": lambda row: row.subject,
    "engine": lambda row: row.engine,
    "seconds": lambda row: _digits(row.seconds),
    "middle half": lambda row: "–".join(map(_digits, row.quartiles)) if row.rounds > 1 else None,
    "rounds": lambda row: str(row.rounds),
    "pictures/s": lambda row: _digits(row.pictures / row.seconds) if row.pictures else None,
    "GFLOP": lambda row: _digits(2e-9 * row.multiply_adds) if row.multiply_adds else None,
    "GFLOP/s": lambda row: _digits(row.gflops) if row.gflops else None,
    "s/megapixel": lambda row: _digits(row.seconds / row.megapixels) if row.megapixels else None,
    "share of peak": lambda row: f"{row.share:.0%}" if row.share else None,
    "agreement (dB)": lambda row: f"{row.agreement:.0f}" if row.agreement else None,
    "peak memory (MB)": lambda row: f"{row.memory / 1e6:.0f}" if row.memory else None,
    "waiting": lambda row: None if row.waiting is None else f"{row.waiting:.1%}",
    "parameters": lambda row: f"{row.parameters:,}" if row.parameters else None,
}


def to_markdown(rows: Sequence[TimingRow]) -> str:
    """The table without empty columns, followed by the machine."""
    filled = [name for name, cell in COLUMNS.items() if any(cell(row) for row in rows)]
    lines = [[COLUMNS[name](row) or NOTHING for name in filled] for row in rows]
    return f"{markdown(filled, lines, left=2)}\n\n{_describe(rows)}"


def _describe(rows: Sequence[TimingRow]) -> str:
    machines = []
    for one in dict.fromkeys(row.machine for row in rows):
        version = f", PyTorch {one.torch}" if one.torch else ""
        machines.append(f"{one.threads} threads on {one.cores} cores of {one.cpu}{version}")
    return f"Medians over rounds in which all took turns; {'; '.join(machines)}."


def _digits(value: float) -> str:
    """Three significant digits."""
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"
