"""`python -m prosr` is `prosr`."""

from prosr.cli import main

# Processes that measure memory or train beside this one import this module as well.
if __name__ == "__main__":
    main()
