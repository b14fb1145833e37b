"""Sweeps: many runs, networks times seeds, from one TOML file, spread over this machine or a cluster with Ray.

``read`` turns the file into a ``Plan``, ``standing`` says what of it is done, ``run`` does the rest; killed at any
moment, the same call goes on where it was. Lesson 09 reads such a file.
"""

from .cluster import check_address
from .plan import Plan, Planned, SweepError, read
from .spread import Outcome, run
from .standing import Standing, standing

__all__ = [
    "Outcome",
    "Plan",
    "Planned",
    "Standing",
    "SweepError",
    "check_address",
    "read",
    "run",
    "standing",
]
