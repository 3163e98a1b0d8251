"""`python -m prosr` is `prosr`."""

from prosr.cli import main

main()
