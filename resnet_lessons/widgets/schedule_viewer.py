"""What a recipe does to the learning rate: a table of its phases, a drawing, and controls over both; lesson 10."""

from resnet_lessons import plots, recipes
from resnet_lessons.tables import html_table

import ipywidgets
import traitlets

from .controls import number, table_view


def schedule_table(recipe):
    """Make a table of a recipe's phases: which updates, at which learning rate.

    Args:
        recipe: a ``recipes.Recipe``.

    Returns:
        The table, HTML that a notebook shows.
    """
    rows = [
        [f"{first + 1:,} to {last + 1:,}", rate(recipe, first), rate(recipe, last)] for first, last in _phases(recipe)
    ]
    header = ["updates", "learning rate at the first", "at the last"]
    return html_table(rows, header, ["left", "right", "right"])


def rate(recipe, step):
    """Return the learning rate of update ``step``, counted from 0, as text."""
    return f"{recipe.lr_at(step):.3g}"


def _phases(recipe):
    """List (first, last) update, counted from 0, of each stretch without a jump or a bend."""
    starts = [0, *(turn for turn in recipe.turns if turn < recipe.steps)]
    return list(zip(starts, [start - 1 for start in starts[1:]] + [recipe.steps - 1], strict=True))


def recipe_words(recipe):
    """Say in a sentence what a recipe does beside the learning rate."""
    length, method = recipes.in_words(recipe)
    return f"{length}, {method}, {recipe.validation:,} images held back."


class ScheduleViewer(ipywidgets.VBox):
    """Choose a recipe; see its learning rates, and that of one update.

    Args:
        names: of recipes, as ``recipes.get`` takes them.
        recipe: the name to begin with; None: the first.
        depth: of the net that will be trained; deep nets start with a warm-up.

    Attributes:
        recipe: the recipe chosen, a ``recipes.Recipe`` to read and to ``observe``.
        depth: of the net, to be set when another one is chosen.
    """

    recipe = traitlets.Instance(recipes.Recipe, read_only=True)
    depth = traitlets.Int(20)

    def __init__(self, names=recipes.NAMES, recipe=None, depth=20):
        self._name = ipywidgets.Dropdown(options=names, value=recipe or names[0], description="recipe")
        self._place, row = number("% made", 0, 0, 100, "a moment of the training, in percent of all updates")
        self._words, self._reading, self._table = ipywidgets.HTML(), ipywidgets.HTML(), table_view()
        self._drawing = ipywidgets.HTML()
        super().__init__([self._name, self._words, self._table, self._drawing, row, self._reading])
        self._shown, self.depth = None, depth
        self._name.observe(self._choose, "value")
        self._place.observe(self._draw, "value")
        self.observe(self._choose, "depth")
        self._choose()

    def __repr__(self):
        return f"ScheduleViewer({self.recipe.name})"

    def _choose(self, change=None):  # noqa: ARG002 - what traitlets hands over
        """Take the recipe of that name, for that depth."""
        recipe = recipes.get(self._name.value, self.depth)
        if recipe == self._shown:
            return
        self._shown = recipe
        self._words.value, self._table.value = recipe_words(recipe), schedule_table(recipe)
        self.set_trait("recipe", recipe)
        self._draw()

    def _draw(self, change=None):  # noqa: ARG002
        """Draw the rates and mark the moment that is chosen."""
        step = round(self._place.value / 100 * (self.recipe.steps - 1))
        fig, ax = plots.figure(width=6.7, height=2.2)
        plots.learning_rates(ax, [self.recipe])
        ax.get_legend().remove()  # the dropdown says which it is
        ax.plot(100 * step / self.recipe.steps, self.recipe.lr_at(step), "o", color=plots.COLOURS[1])
        alt = f"Learning rate of {self.recipe.name} against updates; the table above holds its values."
        self._drawing.value = plots.html_image(fig, alt)
        self._reading.value = f"Update {step + 1:,} of {self.recipe.steps:,}: learning rate {rate(self.recipe, step)}."
