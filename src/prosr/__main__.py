"""The command: `prosr`, or `python -m prosr`."""

from __future__ import annotations

import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command line, whose import, too, Ctrl-C ends in a line."""
    try:
        from prosr.cli import main as run
    except KeyboardInterrupt:
        sys.stderr.write("interrupted\n")
        sys.exit(130)
    run()


# Processes that measure memory or train beside this one import this module as well.
if __name__ == "__main__":
    main()
