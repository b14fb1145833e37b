"""What the benchmark found: images a second by contender and round, memory, shares of the peak, and a table of it."""

import dataclasses
import statistics

from tabulate import tabulate

REFERENCE = "ours"
MEMORY = {
    "linux": "VmHWM of /proc/self/status",
    "win32": "peak_wset of psutil",
}
OTHER_MEMORY = "ru_maxrss of getrusage"
CAPTION = """\
{network} on {images:,} images of 32x32: full training steps, in {rounds} rounds of {updates} updates each.
In each round every contender trained in turn, in random order, the others waiting.
Processor: {processor}. Load before the run: {load:.2f}.
{versions}
"""
LEGEND = """\
images/s: median of the rounds, and their range. peak: floating-point operations of the convolutions and
the classifier, 3 x 2 x multiply-adds an image (forward, and backward two times as much), over what a
{matmul}x{matmul} matrix product reaches in the same round and precision ({peaks}).
ours: how many times as fast this package trains, the median of the rounds' ratios and their range.
memory: the most that the process had resident ({memory}), data set included."""


@dataclasses.dataclass(frozen=True)
class Result:
    """What one contender did.

    Args:
        name: such as "ours".
        title: what the table calls it.
        batch_size: images an update.
        precision: what it computed in.
        flops: floating-point operations for one image in training.
        rates: images/s, one for each round.
        peak_bytes: the most memory that its process had resident.
        versions: of its framework.
    """

    name: str
    title: str
    batch_size: int
    precision: str
    flops: int
    rates: tuple[float, ...]
    peak_bytes: int
    versions: dict

    @property
    def rate(self):
        """The median of the rounds, images/s."""
        return statistics.median(self.rates)


@dataclasses.dataclass(frozen=True)
class Report:
    """What the benchmark found.

    Args:
        results: a ``Result`` for each contender.
        peaks: precision to what a matrix product reached in each round, FLOP/s.
        skipped: title to why a contender was left out.
        order: for each round the names in the order of their turns.
        updates: of each turn.
        settings: the ``contenders.Settings``.
        processor: its name and the number of its cores.
        load: runnable processes, the mean of the minute before.
        memory: how peak memory was measured.
    """

    results: tuple[Result, ...]
    peaks: dict
    skipped: dict
    order: tuple[tuple[str, ...], ...]
    updates: int
    settings: object
    processor: str
    load: float
    memory: str

    def __getitem__(self, name):
        """Return the result of one contender."""
        return {result.name: result for result in self.results}[name]

    def ratios(self, name):
        """Return how many times as fast this package was as another contender, for each round."""
        return tuple(a / b for a, b in zip(self[REFERENCE].rates, self[name].rates, strict=True))

    def shares(self, name):
        """Return the contender's part of the matrix product's FLOP/s, between 0 and 1, for each round."""
        result = self[name]
        peaks = self.peaks[result.precision]
        return tuple(result.flops * rate / peak for rate, peak in zip(result.rates, peaks, strict=True))


def training_flops(multiply_adds):
    """Return the floating-point operations of one image in training.

    A multiply-add is two operations. The backward pass has two products of the forward one's size, one for the
    gradient of the input and one for that of the kernel.

    Args:
        multiply_adds: of the forward pass, for one image.
    """
    return 3 * 2 * multiply_adds


def memory_source(platform):
    """Say how peak memory is measured on ``sys.platform``."""
    return MEMORY.get(platform, OTHER_MEMORY)


def table(report):
    """Show a ``Report`` as text: what ran where, a line for each contender, and what the columns mean."""
    settings = report.settings
    versions = {name: version for result in report.results for name, version in result.versions.items()}
    caption = CAPTION.format(
        network=f"ResNet-{settings.depth} v1",
        images=settings.images,
        rounds=len(report.order),
        updates=report.updates,
        processor=report.processor,
        load=report.load,
        versions=", ".join(f"{name} {version}" for name, version in sorted(versions.items())) + ".",
    )
    peaks = ", ".join(f"{p}: {statistics.median(rates) / 1e9:,.0f} GFLOP/s" for p, rates in report.peaks.items())
    legend = LEGEND.format(matmul=settings.matmul, peaks=peaks, memory=report.memory)
    headers = ["", "batch", "precision", "images/s", "range", "peak", "memory", "ours", "range"]
    align = ["left", "right", "left", *["right"] * 6]
    rows = tabulate([_row(report, r) for r in report.results], headers, colalign=align, disable_numparse=True)
    skipped = [f"{title}: skipped. {why}." for title, why in report.skipped.items()]
    return "\n".join([caption, rows, *skipped, "", legend])


def _row(report, result):
    rates = [f"{result.rate:,.0f}", _range(result.rates, ",.0f")]
    share = f"{statistics.median(report.shares(result.name)):.1%}"
    memory = f"{result.peak_bytes / 1e6:,.0f} MB"
    compared = any(other.name == REFERENCE for other in report.results) and result.name != REFERENCE
    ratios = report.ratios(result.name) if compared else ()
    ours = [f"x {statistics.median(ratios):.2f}", _range(ratios, ".2f")] if compared else ["", ""]
    return [result.title, result.batch_size, result.precision, *rates, share, memory, *ours]


def _range(values, form):
    return f"{min(values):{form}} to {max(values):{form}}"
