"""The command: `prosr`, or `python -m prosr`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C during its import also ends the process with one line."""
    try:
        from prosr.cli import main as run
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        sys.exit(130)
    run()


# Processes that multiprocessing starts, for measuring and training, also import this module.
if __name__ == "__main__":
    main()
