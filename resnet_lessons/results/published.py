"""Figures that the papers and the Keras example print, each with the network that it belongs to.

That is not always the one a figure is quoted for: ``QUOTED_BY_KERAS_EXAMPLE`` holds what that script's table prints
beside its own networks.
"""

from dataclasses import dataclass
from types import MappingProxyType

from resnet_lessons.specs import Spec

HE_2015 = "He et al. 2015, Table 6"
HE_2016_SHORTCUTS = "He et al. 2016, Table 1"
HE_2016_ORDERS = "He et al. 2016, Table 2"
HE_2016_DEPTHS = "He et al. 2016, Table 3"
KERAS_EXAMPLE = "Keras example cifar10_resnet.py, its table"


@dataclass(frozen=True)
class Published:
    """A test error on CIFAR-10 as a publication prints it.

    Attributes:
        network: the network that has it.
        error: percent.
        source: the publication and its table.
        spread: standard deviation over the runs, percent, where one is printed.
        parameters: the number of parameters as printed, such as "0.27M", where one is.
        statistic: what the error is of several runs, where that is said.
        epoch_seconds: that an epoch takes, where it is printed: on a GTX 1080 Ti, batches of 32.
    """

    network: Spec
    error: float
    source: str
    spread: float | None = None
    parameters: str = ""
    statistic: str = ""
    epoch_seconds: int | None = None


def _he2015(depth, error, parameters, **more):
    return Published(Spec("v1", depth), error, HE_2015, parameters=parameters, **more)


def _he2016(network, error, source=HE_2016_DEPTHS):
    return Published(network, error, source, statistic="median of 5 runs")


def _keras_example(family, depth, accuracy, seconds):
    error = round(100 - accuracy, 2)  # the script prints accuracies; on the test set, which also chose the epoch
    return Published(Spec(family, depth, style="keras-example"), error, KERAS_EXAMPLE, epoch_seconds=seconds)


PUBLISHED = (
    _he2015(20, 8.75, "0.27M"),
    _he2015(32, 7.51, "0.46M"),
    _he2015(44, 7.17, "0.66M"),
    _he2015(56, 6.97, "0.85M"),
    _he2015(110, 6.61, "1.7M", spread=0.16, statistic="mean of 5 runs; the best: 6.43"),
    _he2015(1202, 7.93, "19.4M"),
    _he2016(Spec("v1", 164, block="bottleneck"), 5.93),
    _he2016(Spec("v1", 1001, block="bottleneck"), 7.61),
    _he2016(Spec("v2", 110, block="basic"), 6.37),
    _he2016(Spec("v2", 164), 5.46),
    _he2016(Spec("v2", 1001), 4.92),
    _he2016(Spec("v1", 110, skip="constant-scaling"), 12.35, HE_2016_SHORTCUTS),  # both terms halved
    _he2016(Spec("v1", 110, skip="exclusive-gating"), 8.70, HE_2016_SHORTCUTS),  # gates' bias -6, as in blocks
    _he2016(Spec("v1", 110, skip="shortcut-gating"), 6.91, HE_2016_SHORTCUTS),  # the same
    _he2016(Spec("v1", 110, skip="conv"), 12.22, HE_2016_SHORTCUTS),  # the dropout shortcut's row says "fail"
    Published(Spec("v2", 1001), 4.89, "He et al. 2016, Table 4", spread=0.14, statistic="mean of 5 runs"),
    _he2016(Spec("v1", 110, order="bn-after-add"), 8.17, HE_2016_ORDERS),
    _he2016(Spec("v1", 110, order="relu-before-add"), 7.84, HE_2016_ORDERS),
    _he2016(Spec("v1", 110, order="relu-pre"), 6.71, HE_2016_ORDERS),
    _he2016(Spec("v1", 164, block="bottleneck", order="bn-after-add"), 6.50, HE_2016_ORDERS),
    _he2016(Spec("v1", 164, block="bottleneck", order="relu-before-add"), 6.14, HE_2016_ORDERS),
    _he2016(Spec("v1", 164, block="bottleneck", order="relu-pre"), 5.91, HE_2016_ORDERS),
    _keras_example("v1", 20, 92.16, 35),
    _keras_example("v1", 32, 92.46, 50),
    _keras_example("v1", 44, 92.50, 70),
    _keras_example("v1", 56, 92.71, 90),
    _keras_example("v1", 110, 92.65, 165),
    _keras_example("v2", 56, 93.01, 100),
    _keras_example("v2", 110, 93.15, 180),
)


def published(spec):
    """Return the figures published for exactly this network, a tuple of ``Published``, empty if there are none."""
    return tuple(record for record in PUBLISHED if record.network == spec)


def _quotations():
    """Pair each row of the Keras example's table with the figure it prints as the original paper's, by its error."""
    rows = [
        ("v1", 20, 8.75),
        ("v1", 32, 7.51),
        ("v1", 44, 7.17),
        ("v1", 56, 6.97),
        ("v1", 110, 6.61),
        ("v1", 164, 5.93),
    ]
    rows += [("v2", 110, 6.37), ("v2", 164, 5.46), ("v2", 1001, 4.92)]  # the last as 95.08+-.14: median, mean's spread
    papers = {record.error: record for record in PUBLISHED if record.source in (HE_2015, HE_2016_DEPTHS)}
    return MappingProxyType({Spec(name, depth, style="keras-example"): papers[error] for name, depth, error in rows})


QUOTED_BY_KERAS_EXAMPLE = _quotations()  # its network -> the figure, whose ``network`` is the one that has it
