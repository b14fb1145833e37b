"""A training to start, watch, stop and resume by buttons; lesson 10.

The training runs in a thread (``training.Background``), so no cell waits for it and no button is deaf. The thread never
touches a widget: it asks the kernel's event loop to redraw. The run is a folder, so Resume goes on with it in another
kernel too.
"""

import asyncio
import contextlib
import functools
import html
import threading
from pathlib import Path

from resnet_lessons import plots, recipes, specs, training

import ipywidgets
import traitlets

from . import interrupts
from .controls import table_view
from .kept_runs import found, refusal, run_folder
from .run_words import WINDOW, epoch_table, epochs_are, error_words, kept_words, progress_words, result_words

MOVING = "resnet-lessons-progress"  # a name for the sentence that changes all the time
STATES = ("ready", "training", "stopping", "stopped", "finished", "failed")
PACE = 1.0  # seconds between two drawings at least; one takes about a tenth
STOPPING = {  # by phase; in the others batches of images are looked at
    "starting": "Stopping. The network is being built; its first update, once begun, is made to its end.",
    "training": "Stopping after the update under way.",
}
ELSEWHERE = "{} trains on another page of this notebook. Choose it here to watch and stop it."
_beginning = threading.Lock()  # held while a trainer looks for the others and begins


class LiveTrainer(ipywidgets.VBox):
    """Train a network by buttons: Train, Stop, Resume; a curve and a table move while it trains.

    Args:
        dataset: a ``data.Dataset`` to train on.
        spec: the network to begin with.
        recipe: how to train it.
        folder: of the runs, one folder each.
        seed: of all that is random, a whole number from 0 to ``recipes.HIGHEST_SEED``.
        options: further ones of ``training.train``.

    Attributes:
        spec: the network that Train and Resume mean, a ``specs.Spec`` to be set.
        recipe: the recipe, to be set.
        seed: to be set, also by the person.
        state: one of "ready", "training", "stopping", "stopped", "finished" and "failed"; to ``observe``.
        run: what the last training gave, a ``training.Run`` with the net as it was left; None before its end.
        error: the exception that ended the last training, or kept it from beginning; None if none did.
    """

    spec = traitlets.Instance(specs.Spec)
    recipe = traitlets.Instance(recipes.Recipe)
    seed = traitlets.Int(0, min=0, max=recipes.HIGHEST_SEED)
    state = traitlets.Enum(STATES, "ready", read_only=True)

    def __init__(self, dataset, spec, recipe, folder="runs/explorer", seed=0, **options):
        self.dataset, self.folder, self.run, self.error = dataset, Path(folder), None, None
        self._options, self._training, self._loop = options, None, None
        self._drawn = self._last = None
        self._pages = []  # the trainers that show this one's training, itself among them
        self._awaited = False  # whether the loop has yet to make a redrawing that it was asked for
        self._make_parts()
        buttons = ipywidgets.HBox([self._train, self._stop, self._resume], layout={"flex_flow": "row wrap"})
        super().__init__([self._seed, buttons, self._words, self._progress, self._drawing, self._table])
        self.spec, self.recipe, self.seed = spec, recipe, seed
        ipywidgets.link((self, "seed"), (self._seed, "value"))
        self.observe(self._look, ["spec", "recipe", "seed"])
        self._look()

    def _make_parts(self):
        self._seed = ipywidgets.BoundedIntText(value=0, min=0, max=recipes.HIGHEST_SEED, description="seed")
        self._seed.tooltip = "of the initial weights, the order of the images and the augmentation"
        self._train = ipywidgets.Button(description="Train", tooltip="begin this run", button_style="primary")
        self._stop = ipywidgets.Button(description="Stop", tooltip="stop after the update under way; keep the epochs")
        self._resume = ipywidgets.Button(description="Resume", tooltip="go on after the last whole epoch of this run")
        self._words, self._progress, self._drawing = ipywidgets.HTML(), ipywidgets.HTML(), ipywidgets.HTML()
        self._progress.add_class(MOVING)
        self._table = table_view()
        self._train.on_click(lambda _: self.train())
        self._stop.on_click(lambda _: self.stop())
        self._resume.on_click(lambda _: self.train())

    def __repr__(self):
        return f"LiveTrainer({self.spec.name}, {self.recipe.name}, {self.state})"

    @property
    def out(self):
        """The folder of the run that Train and Resume mean."""
        return run_folder(self.folder, self.spec, self.recipe, self.seed, self.dataset.name)

    @property
    def progress(self):
        """The ``training.Progress`` of the training under way, or of the last one."""
        return training.Progress() if self._last is None else self._last.progress()

    def _wanted(self):
        """Return what tells the run that is chosen from others; options of ``train`` not given are left out."""
        wanted = {"spec": self.spec, "recipe": self.recipe, "seed": self.seed}
        wanted |= {"precision": self._options.get("precision", "auto"), "strategy": self._options.get("strategy")}
        if self._options.get("deterministic") is not None:
            wanted["deterministic"] = self._options["deterministic"]
        return wanted

    # What the buttons do

    def train(self):
        """Begin the run that is chosen, or go on with it, and return at once; nothing happens if one is under way.

        If another trainer of this kernel has begun it, this one shows it and can stop it. If the folder holds another
        run, or another run is under way in the same folder of runs, that is the ``error``, and nothing is begun.
        """
        said = ""
        with _beginning:
            if self._training is not None:
                return
            self.run, self.error = None, refusal(self.out, self._wanted(), self.dataset)
            if self.error is None:
                other = self._elsewhere()
                if other is None:
                    self._begin()
                elif not self._join(other):
                    current = other._training
                    said = ELSEWHERE.format(_name(current.spec, current.recipe, current.seed))
                    self.error = RuntimeError(said)
        if self._training is None:
            self._look(before=said)
            return
        interrupts.listen()
        self.set_trait("state", "training")
        self._redraw()

    def _begin(self):
        self._loop, self._awaited, self._pages = _running_loop(), False, [self]
        watch = {"changed": functools.partial(_ask_to_redraw, self._pages), "every": PACE}
        self._training = self._last = training.Background(
            self.spec, self.recipe, self.dataset, self.out, self.seed, **watch, **self._options
        )
        interrupts.running.add(self)

    def _elsewhere(self):
        """Return another trainer that trains in the same folder of runs, or None."""
        here = self.folder.resolve()
        return next((other for other in interrupts.under_way() if other.folder.resolve() == here), None)

    def _join(self, other):
        """Show another trainer's training from now on if it is of the run that is chosen; return whether it is."""
        current, same = other._training, self.dataset.digest == other.dataset.digest and self._options == other._options
        if not same or not self._chosen(current) or current.out.name != self.out.name:
            return False
        self._loop, self._awaited, self._pages = _running_loop(), False, other._pages
        self._pages.append(self)  # before the redrawing that is to come, which sees an end that was told before
        self._training = self._last = current
        interrupts.running.add(self)
        return True

    def stop(self):
        """Ask the training to stop after the update under way, and return at once."""
        if self.ask_to_stop():
            self._redraw()

    def ask_to_stop(self):
        """Ask as ``stop`` does but touch no widget, for a signal handler; return whether there was one to stop."""
        current = self._training
        if current is not None:
            current.stop()
        return current is not None

    async def finished(self):
        """Wait until the training has ended, while buttons and curves go on; interrupting the wait stops the training.

        Returns:
            The ``training.Run``; None if none was begun.

        Raises:
            Exception: the one that ended the training.
        """
        current = self._training
        try:
            while current is not None and not current.done:
                await asyncio.sleep(0.05)
        except BaseException:
            self.stop()
            raise
        return self._outcome(current)

    def wait(self):
        """Wait as ``finished`` does, with everything else at a stand; for programs without an event loop."""
        current = self._training
        if current is not None:
            try:
                current.wait()
            except KeyboardInterrupt:
                self.stop()
                raise
        return self._outcome(current)

    def _outcome(self, current):
        """Show what a training gave that has ended, and return or raise it; of None, what the last one gave.

        Whoever observes ``state`` may have begun the next one by then, and that has its own.
        """
        if current is self._training:
            self._redraw()
        ended = self if current is None else current
        if ended.error is not None:
            raise ended.error
        return ended.run

    # What is shown

    def ask_to_redraw(self):
        """Have the event loop redraw, from any thread; without a loop, ``wait`` does.

        A drawing may take longer than training takes to ask for the next: they must not pile up before a button's turn.
        """
        if self._loop is not None and not self._awaited:
            self._awaited = True
            with contextlib.suppress(RuntimeError):  # the loop has been closed
                self._loop.call_soon_threadsafe(self._redraw)

    def _redraw(self):
        """Show how far the training is; when it has ended, what came out."""
        self._awaited = False
        current = self._training
        if current is None:
            return
        progress = current.progress()
        if progress.phase == "ended":
            current.wait()
            self._end(current)
        state = self._state_of(current)
        said = self._words_for(current, progress, state)
        if self._training is None and not self._chosen(current):  # another run was chosen meanwhile
            self.set_trait("state", state)
            self._look(before=said)
            return
        self._say(state, said)
        self._progress.value = "" if self._training is None else progress_words(progress, current.recipe.steps)
        self._enable(state)
        if state != "stopping":  # the end is near and is drawn; it must not wait for another drawing
            self._draw(current, progress.epochs, progress.step_error, progress.first_step)
        self.set_trait("state", state)  # last: whoever observes it may choose or begin another run, which is shown then

    def _end(self, current):
        with _beginning:
            self.run, self.error, self._training = current.run, current.error, None
        interrupts.running.discard(self)

    def _state_of(self, current):
        """Return the state of a training that is under way or has just ended."""
        if current is self._training:
            return "stopping" if current.asked_to_stop else "training"
        if current.error is not None:
            return "failed"
        return "finished" if current.run.finished else "stopped"

    def _chosen(self, run):
        """Tell whether a run is the one that Train and Resume mean; a folder's name does not hold all of a recipe."""
        return (run.spec, run.recipe, run.seed) == (self.spec, self.recipe, self.seed)

    def _words_for(self, current, progress, state):
        """Say where a training is that is under way or has just ended; not update by update, for it is read aloud."""
        steps = current.recipe.steps
        said = {
            "training": lambda: f"Training; {epochs_are(progress.epochs)} whole.",
            "stopping": lambda: STOPPING.get(progress.phase, "Stopping after the batch of images under way."),
            "stopped": lambda: f"Stopped after update {progress.step:,}. {kept_words(progress.epochs, steps)}",
            "finished": lambda: result_words(current.run.test_error, self.dataset.title),
            "failed": lambda: f"{_failed(progress)} {error_words(current.error)}",
        }[state]()
        return f"{_name(current.spec, current.recipe, current.seed)}: {said}"

    def _look(self, change=None, before=""):  # noqa: ARG002 - what traitlets hands over
        """Show what the folder holds of the run that is chosen; while another one trains, that goes on being shown."""
        if self._training is not None:
            return
        state, epochs, said, *more = found(self.out, self._wanted(), self.dataset)
        if state != "failed" and self._joined():
            self._redraw()
            return
        self._say(state, before, f"{_name(self.spec, self.recipe, self.seed)}: {said}", *more)
        self._progress.value = ""
        self._enable(state)
        self._draw(self, epochs)
        self.set_trait("state", state)

    def _joined(self):
        """Join the training of the run that is chosen, if another trainer has begun it; return whether."""
        with _beginning:
            other = self._elsewhere()
            return other is not None and self._join(other)

    def _say(self, state, *sentences):
        role = "alert" if state == "failed" else "status"  # a screen reader says it whenever it is another
        lines = "".join(f"<p>{html.escape(sentence)}</p>" for sentence in sentences if sentence)
        self._words.value = f'<div role="{role}">{lines}</div>'

    def _draw(self, run, epochs, step_error=(), first_step=0):
        """Swap the one image, if anything has changed; before the first update it is an empty frame.

        Args:
            run: whatever has the ``out``, ``spec``, ``recipe`` and ``seed`` of the run that is shown.
            epochs: the lines of its log.
            step_error: of its updates, as far as they are known.
            first_step: updates made before these.
        """
        self._table.value = epoch_table(epochs)
        seen = (run.out, run.recipe, len(epochs), len(step_error), first_step)
        if seen == self._drawn:
            return
        self._drawn = seen
        fig, ax = plots.figure(width=8.0, height=3.4)
        plots.training_progress(ax, epochs, step_error, first_step, run.recipe.steps, WINDOW)
        alt = (
            f"Errors against updates of {_name(run.spec, run.recipe, run.seed)}; the table below holds those of epochs."
        )
        self._drawing.value = plots.html_image(fig, alt, self.dataset.title)

    def _enable(self, state):
        """Let only those buttons be pressed that mean something in a state."""
        self._train.disabled = state != "ready"
        self._stop.disabled = state != "training"
        self._resume.disabled = state not in ("stopped", "failed")
        self._seed.disabled = state in ("training", "stopping")


def _name(spec, recipe, seed):
    return f"{spec.name} by {recipe.name}, seed {seed}"


def _failed(progress):
    """Say after which update a training failed, if it made any of its own."""
    return f"Failed after update {progress.step:,}." if len(progress.step_error) else "Failed."


def _ask_to_redraw(pages):
    """Ask the trainers that show a training; another one may join them meanwhile."""
    for page in tuple(pages):
        page.ask_to_redraw()


def _running_loop():
    """Return the event loop that runs in this thread, as in a notebook's kernel; None in a plain program."""
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        return None
