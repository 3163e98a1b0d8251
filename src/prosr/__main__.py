"""The command: `prosr`, or `python -m prosr`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line. Ctrl-C during its import ends the process in one line, too."""
    try:
        from prosr.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    run()


# Processes for measuring and training, which multiprocessing starts, import this module too.
if __name__ == "__main__":
    main()
