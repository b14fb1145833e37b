"""The networks of both papers to choose from: a table of some, how long one trains here, and a picker over them.

Lesson 03 shows all three; the picker is a box with a ``spec`` that others can observe, so that it fits into larger
widgets. He et al. 2015, Sec. 4.2; He et al. 2016, appendix.
"""

import html

from resnet_lessons import accounting, plots, results, specs, training
from resnet_lessons.tables import html_table
from resnet_lessons.training.progress import duration

import ipywidgets
import traitlets

from . import interrupts
from .controls import number, table_view
from .run_words import error_words

TIMED_BATCH = 64  # images an update, when the picker times one
KEPT = ("width", "input_shape", "num_classes")  # of the network to begin with, which no control changes


def model_table(networks):
    """Make a table of networks: what they cost, computed, and their published test error, quoted.

    Args:
        networks: ``specs.Spec``, one a row.

    Returns:
        The table, HTML that a notebook shows.
    """
    header = ["network", "units n", "layers", "parameters", "multiply-adds", "quoted: test error on CIFAR-10"]
    rows = []
    for spec in networks:
        count = accounting.count(spec)
        cost = [f"{count.parameters:,}", f"{count.multiply_adds:,}"]
        rows.append([spec.name, spec.n, spec.depth, *cost, quoted(spec)])
    return html_table(rows, header, ["left", "right", "right", "right", "right", "left"])


def quoted(spec):
    """Return in words what has been published for exactly this network, "none" if nothing has."""
    found = []
    for record in results.published(spec):
        statistic = f", {record.statistic}" if record.statistic else ""
        found.append(f"{record.error:.2f}%{statistic} ({record.source})")
    return "; ".join(found) or "none for this network"


def time_table(recipes, timing, batch_size):
    """Make a table of how long a net would train by each recipe, from the time that its updates took.

    Args:
        recipes: ``recipes.Recipe``, one a row.
        timing: what ``training.time_updates`` measured: seconds to build and start, seconds of an update.
        batch_size: images of each of those updates; a recipe's larger or smaller ones take time in proportion.

    Returns:
        The table, HTML that a notebook shows; validation and test are not counted.
    """
    start, update = timing
    header = ["recipe", "updates", "images an update", "expected time"]
    rows = []
    for recipe in recipes:
        seconds = start + update * recipe.steps * recipe.batch_size / batch_size
        rows.append([recipe.name, f"{recipe.steps:,}", recipe.batch_size, duration(seconds)])
    return html_table(rows, header, ["left", "right", "right", "right"])


class ModelPicker(ipywidgets.VBox):
    """Choose a network by version, unit and n; see its table, its drawing, and on demand its time on this machine.

    Args:
        spec: the network to begin with. Its width, input_shape and num_classes are those of every choice; its style,
            skip and order become the usual ones, and so does its shortcut unless that can be chosen.
        recipes: what the time is estimated for; none: there is no button to time it.
        most: the largest n; that of ``spec`` if it is larger.
        shortcuts: whether the shortcut can be chosen too; otherwise it is the usual one.

    Attributes:
        spec: the network chosen, a ``specs.Spec`` to read and to ``observe``.
        timer: the button that measures, which whoever trains may disable meanwhile.
    """

    spec = traitlets.Instance(specs.Spec, read_only=True)

    def __init__(self, spec=None, recipes=(), most=18, shortcuts=False):
        spec = specs.Spec("v1", 20) if spec is None else spec
        self._recipes, self._timings = tuple(recipes), {}
        self._kept = {field: getattr(spec, field) for field in KEPT}
        self._family = ipywidgets.Dropdown(options=specs.FAMILIES, value=spec.family, description="version")
        self._block = ipywidgets.Dropdown(options=specs.BLOCKS, value=spec.block, description="unit")
        self._n, row = number("units n", spec.n, 1, max(most, spec.n), "units in each of the three stages")
        self._shortcut = ipywidgets.Dropdown(description="shortcut")
        self._shortcut.tooltip = "where dimensions change: A zeros, B a projection; C: a projection in every unit"
        self._offer_shortcuts()
        self._table, self._times = table_view(), table_view()
        self._drawing, self._words = ipywidgets.HTML(), ipywidgets.HTML()
        self.timer = ipywidgets.Button(description="Time it here", tooltip="train a few updates on random images")
        controls = [self._family, self._block, row, *([self._shortcut] if shortcuts else [])]
        super().__init__([*controls, self._table, self._drawing, self._words])
        if self._recipes:
            self.children = [*self.children, self.timer, self._times]
        self._family.observe(self._choose_family, "value")
        self._block.observe(self._choose_block, "value")
        self._n.observe(self._choose, "value")
        if shortcuts and spec.shortcut is not None:
            self._shortcut.value = spec.shortcut
        self._shortcut.observe(self._choose, "value")
        self.timer.on_click(self._time)
        self._choose()

    def __repr__(self):
        return f"ModelPicker({self.spec.name})"

    def _choose_family(self, change):
        """Turn to the family's own unit; where that is the one chosen already, the observer of the unit is silent."""
        usual = specs.Spec(change["new"], specs.depth_for(change["new"], 1)).block
        if self._block.value != usual:
            self._block.value = usual
        else:
            self._choose_block()

    def _choose_block(self, change=None):  # noqa: ARG002 - what traitlets hands over
        """Turn to the usual shortcut of that unit, and then to the network, once."""
        self._shortcut.unobserve(self._choose, "value")
        self._offer_shortcuts()
        self._shortcut.observe(self._choose, "value")
        self._choose()

    def _offer_shortcuts(self):
        """Offer the shortcuts that the family has, the usual one chosen; a plain net has none."""
        usual = self._with_n(1).shortcut
        self._shortcut.options = [("none", None)] if usual is None else specs.SHORTCUTS
        self._shortcut.value, self._shortcut.disabled = usual, usual is None

    def _with_n(self, n, shortcut=None):
        """Return the network of the version and the unit chosen, with n units a stage."""
        family, block = self._family.value, self._block.value
        return specs.Spec(family, specs.depth_for(family, n, block), block=block, shortcut=shortcut, **self._kept)

    def _choose(self, change=None):  # noqa: ARG002 - what traitlets hands over
        """Read the controls and show the network they name."""
        spec = self._with_n(self._n.value, self._shortcut.value)
        self._table.value = model_table([spec])
        fig, ax = plots.figure(width=8.5, height=2.2)
        plots.network_diagram(ax, spec)
        self._drawing.value = plots.html_image(fig, f"Diagram of {spec.name}, which the text below describes.")
        self._words.value = plots.network_in_words(spec)
        self._show_times(spec)
        self.set_trait("spec", spec)

    def _show_times(self, spec):
        timing = self._timings.get(spec)
        self._times.value = "" if timing is None else time_table(self._recipes, timing, TIMED_BATCH)

    def _time(self, button):
        """Measure this network's updates, unless it has been measured, and show what they come to."""
        if button.disabled:  # pressed before the page had heard of it
            return
        if self.spec not in self._timings:
            if interrupts.under_way():  # on another page, whose Stop could not be heard
                self._times.value = _alert("A training is under way. Stop it or wait for its end, then press again.")
                return
            button.disabled, button.description = True, "timing ..."
            try:
                self._timings[self.spec] = training.time_updates(self.spec, TIMED_BATCH)
            except Exception as error:  # as a page of its own shows nothing of it
                self._times.value = _alert(f"{self.spec.name} could not be timed: {error_words(error)}")
                return
            finally:
                button.disabled, button.description = False, "Time it here"
        self._show_times(self.spec)


def _alert(sentence):
    return f'<p role="alert">{html.escape(sentence)}</p>'
