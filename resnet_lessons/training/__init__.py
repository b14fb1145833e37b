"""Training a ``Spec`` by a ``Recipe``: seed, precision, build, fit; in a folder that survives being killed.

``fit`` trains on batches and keeps all in memory: lesson 01. ``train`` trains on a data set as a recipe says, validates
each epoch, reads the test set once at the end, and can keep the run in a folder and go on from it: lessons 03 and 09
and the command line. ``Background`` does so in a thread, to be watched: lesson 10. He et al. 2015, Sec. 4.2.
"""

from resnet_lessons.recipes import PRECISIONS
from resnet_lessons.results import Settings

from .background import Background, Progress
from .callbacks import Diverged, Guard, Schedule, StepLog
from .compiled import Images, choose_precision, compile_model, time_in_turns, time_updates
from .engine import fit, resume, train
from .folder import FolderError, RunFolder
from .optimizers import SGD, Adam
from .refusals import refuse_other_run, run_in
from .run import Run
from .trained import trained

__all__ = [
    "PRECISIONS",
    "SGD",
    "Adam",
    "Background",
    "Diverged",
    "FolderError",
    "Guard",
    "Images",
    "Progress",
    "Run",
    "RunFolder",
    "Schedule",
    "Settings",
    "StepLog",
    "choose_precision",
    "compile_model",
    "fit",
    "refuse_other_run",
    "resume",
    "run_in",
    "time_in_turns",
    "time_updates",
    "train",
    "trained",
]
