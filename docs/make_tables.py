"""Write the scores in results/ into README.md.

python docs/make_tables.py
"""

from __future__ import annotations

from pathlib import Path

from prosr.evaluation.results import read_results
from prosr.evaluation.tables import to_markdown, update_table

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
PROTOCOL = "paper"
BESIDE = ("VDSR", "LapSRN", "MS-LapSRN", "ProSR-s", "EDSR")


def scores() -> str:
    """The table between README's marks: every score under the papers' protocol."""
    rows = [row for path in sorted((ROOT / "results").glob("*.json")) for row in read_results(path)]
    return to_markdown([row for row in rows if row.protocol == PROTOCOL], beside=BESIDE)


if __name__ == "__main__":
    update_table(README, "scores", scores())
