"""Lesson 10 on one page: choose a network and a recipe, see what they cost and what is known of them, train.

It is made of the other widgets, each of which a notebook can use alone.
"""

from resnet_lessons import recipes, specs

import ipywidgets
import traitlets

from .controls import table_view
from .live_trainer import LiveTrainer
from .model_picker import ModelPicker
from .recorded_runs import published_words, recorded_image, recorded_table
from .schedule_viewer import ScheduleViewer


class Explorer(ipywidgets.VBox):
    """Choose a network and a recipe; see costs, schedule, published and recorded figures; train, stop and resume.

    Args:
        dataset: a ``data.Dataset`` to train on.
        folder: of the runs.
        spec: the network to begin with, as for ``ModelPicker``; None: v1-20 for the data set's images and classes.
        recipe: the name of the recipe to begin with.
        names: of the recipes to choose from.
        recorded: the folder of the recorded runs; None: those that ship with the package.

    Attributes:
        picker: the ``ModelPicker``.
        schedule: the ``ScheduleViewer``.
        trainer: the ``LiveTrainer``.
    """

    def __init__(
        self,
        dataset,
        folder="runs/explorer",
        spec=None,
        recipe="minute",
        names=recipes.NAMES,
        recorded=None,
    ):
        if spec is None:
            spec = specs.Spec("v1", 20, input_shape=dataset.x_train.shape[1:], num_classes=len(dataset.class_names))
        self._recorded = recorded
        self.picker = ModelPicker(spec, recipes=[recipes.get(name) for name in names], shortcuts=True)
        self.schedule = ScheduleViewer(names, recipe, self.picker.spec.depth)
        self.trainer = LiveTrainer(dataset, self.picker.spec, self.schedule.recipe, folder)
        self._table, self._curves, self._published = table_view(), ipywidgets.HTML(), ipywidgets.HTML()
        parts = {
            "Network": [self.picker],
            "Recipe": [self.schedule],
            "Recorded runs": [self._table, self._curves, self._published],
            "Training": [self.trainer],
        }
        super().__init__([child for title, part in parts.items() for child in (_heading(title), *part)])
        traitlets.dlink((self.schedule, "recipe"), (self.trainer, "recipe"))
        self.picker.observe(self._choose, "spec")
        self.trainer.observe(self._leave_the_machine_alone, "state")
        self._leave_the_machine_alone({"new": self.trainer.state})  # it may show what another page trains
        self._show_recorded()

    def __repr__(self):
        return f"Explorer({self.picker.spec.name}, {self.schedule.recipe.name})"

    def _choose(self, change):
        """Hand the network on, and its depth, which the recipe of a deep one hangs on."""
        with self.trainer.hold_trait_notifications():  # it looks for the run of both, not of one and the old other
            self.schedule.depth = change["new"].depth
            self.trainer.spec = change["new"]
        self._show_recorded()

    def _show_recorded(self):
        spec = self.picker.spec
        self._table.value = recorded_table(spec, self._recorded)
        self._curves.value = recorded_image(spec, self._recorded)
        self._published.value = published_words(spec)

    def _leave_the_machine_alone(self, change):
        """Take the button for timing away while a training is timed by it, and no other button could be heard."""
        self.picker.timer.disabled = change["new"] in ("training", "stopping")


def _heading(title):
    heading = ipywidgets.HTML(f"<h3>{title}</h3>")
    heading.add_class("jp-RenderedHTMLCommon")  # drawn as a notebook draws it
    return heading
