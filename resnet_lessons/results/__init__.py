"""What has been measured: figures the papers print, and runs recorded by this package with where they came from.

``PUBLISHED`` says of every figure which network it belongs to. ``load`` reads the runs that ship in ``recorded/``, one
folder a run, as training wrote it, and refuses one whose log and summary do not agree. ``groups`` puts seeds together,
``table`` puts both kinds of figures side by side. Lessons 01, 02, 03, 05, 08, 09 and 10 show them.
"""

from .agreement import updates_per_pass
from .groups import Group, all_but_the_seed, groups, hardware_in_words, training_set
from .published import (
    HE_2015,
    HE_2016_DEPTHS,
    HE_2016_ORDERS,
    HE_2016_SHORTCUTS,
    KERAS_EXAMPLE,
    PUBLISHED,
    QUOTED_BY_KERAS_EXAMPLE,
    Published,
    published,
)
from .records import RECORDED, Epoch, Record, RecordError, load, read
from .settings import Settings
from .table import COLUMNS, SHORT, Row, rows, table

__all__ = [
    "COLUMNS",
    "HE_2015",
    "HE_2016_DEPTHS",
    "HE_2016_ORDERS",
    "HE_2016_SHORTCUTS",
    "KERAS_EXAMPLE",
    "PUBLISHED",
    "QUOTED_BY_KERAS_EXAMPLE",
    "RECORDED",
    "SHORT",
    "Epoch",
    "Group",
    "Published",
    "Record",
    "RecordError",
    "Row",
    "Settings",
    "all_but_the_seed",
    "groups",
    "hardware_in_words",
    "load",
    "published",
    "read",
    "rows",
    "table",
    "training_set",
    "updates_per_pass",
]
