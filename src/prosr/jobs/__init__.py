"""Find what to enlarge, pictures and clips alike, and enlarge one after another."""

from prosr.jobs.requests import Job, find
from prosr.jobs.running import Outcome, fit, run

__all__ = ["Job", "Outcome", "find", "fit", "run"]
