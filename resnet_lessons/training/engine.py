"""``fit`` and ``train``: Keras's ``fit`` underneath, the recipe in charge, the run's folder beside it."""

import contextlib
import math
import time
import traceback

from resnet_lessons import backend, batches, machine
from resnet_lessons.results import Settings

from . import callbacks as between_updates
from .compiled import choose_precision, compile_model, free, refuse_uneven
from .folder import RunFolder
from .progress import progress as progress_callbacks
from .progress import refuse_other_kind
from .provenance import describe, surroundings
from .refusals import (
    refuse_misfit,
    refuse_other_data,
    refuse_other_devices,
    refuse_other_run,
    run_in,
    stored_settings,
)
from .run import Run, finished_run, run_of, updates_of


def fit(spec, recipe, batches, validation=None, *, seed=0, precision="auto", callbacks=()):
    """Build ``spec`` from ``seed`` and train it on ``batches``, in memory.

    Args:
        spec: the network.
        recipe: how to train it.
        batches: a ``batches.Batches`` or ``batches.FreshShapes``; they start at epoch 0, whatever they served before.
        validation: further batches, looked at after every epoch; None: none are.
        seed: of the initial weights and of dropout. ``batches`` has a seed of its own.
        precision: as for ``choose_precision``.
        callbacks: further Keras callbacks, none of which may set the learning rate. One that stops the training before
            the recipe's last update leaves a run that is not finished.

    Returns:
        A ``Run``.

    Raises:
        Diverged: when the loss or the weights are no longer numbers.
        TypeError: for what are no batches, such as arrays.
        ValueError: for a callback that sets the learning rate too, and for another ``precision``.
    """
    callbacks = tuple(callbacks)  # an iterator would be empty after the first look
    between_updates.refuse_second_schedule(callbacks)
    began = time.perf_counter()
    precision = choose_precision(precision)
    model = compile_model(spec, recipe, seed, precision)
    log = between_updates.StepLog()
    _fit(model, recipe, batches, validation, [log, between_updates.Guard(log), *callbacks])
    return Run(
        spec=spec,
        recipe=recipe,
        seed=seed,
        precision=precision,
        model=model,
        **updates_of(log),
        seconds=time.perf_counter() - began,
        finished=log.step == recipe.steps,
    )


def _fit(model, recipe, batches, validation, callbacks, epoch=0, step=0):
    """Make the updates that are left after ``epoch`` epochs and ``step`` updates."""
    served, held_back = backend.pipeline(batches), backend.pipeline(validation)
    batches.start_at(epoch)
    with _memory_freed(model):
        model.fit(
            served,
            initial_epoch=epoch,
            epochs=-(-recipe.steps // len(batches)),
            validation_data=held_back,
            shuffle=False,  # the batches come in their own order already
            callbacks=[between_updates.ServeEpoch(batches), between_updates.Schedule(recipe, step), *callbacks],
            verbose=0,
        )


@contextlib.contextmanager
def _memory_freed(model):
    """Free what Keras holds on to: the graph of an update, and iterators, of which TensorFlow complains at exit.

    A lesson that trains twelve nets would else keep twelve graphs. ``fit`` makes another if it is called again.
    """
    try:
        yield
    except (between_updates.Stopped, between_updates.Diverged, KeyboardInterrupt) as ended:
        vars(model).pop("_eval_epoch_iterator", None)
        traceback.clear_frames(ended.__traceback__)
        raise
    finally:
        model.train_function = None
        free()


def train(
    spec,
    recipe,
    dataset,
    out=None,
    seed=0,
    precision="auto",
    strategy=None,
    *,
    deterministic=None,
    progress="lines",
    stop=None,
    callbacks=(),
):
    """Train ``spec`` on a data set as ``recipe`` says, and test it once at the end.

    The weights after the last update are the ones that are tested: nothing is chosen, neither on the validation images
    nor on the test images. With ``out``, the run is kept in that folder epoch by epoch; the same call again goes on
    after the last whole epoch, to the same weights bit for bit if it is deterministic and the processor, the versions
    and the switches of ``run.json`` are the same, and reads a finished run.

    Args:
        spec: the network.
        recipe: how to train it.
        dataset: a ``data.Dataset``; its images have the network's input shape.
        out: the run's folder; None keeps the run in memory.
        seed: of the initial weights, dropout, order and augmentation. The split is the same for every seed.
        precision: as for ``choose_precision``.
        strategy: None, or "mirrored": one copy of the net on each GPU, or on each part of a divided processor.
        deterministic: whether a seeded run repeats bit for bit, for the rest of this process; None: on a processor,
            where it costs nothing, and not on a GPU.
        progress: "lines" prints one an epoch, "bar" shows a bar too, None is silent.
        stop: an event, such as threading.Event; once it is set, training stops after the update under way, or after the
            batch under way of a validation, which then does not count, or of the test. A start stops once the
            net is built, or the images are read; the first update, once begun, is made.
        callbacks: further Keras callbacks, none of which may set the learning rate. One that stops the training does
            what ``stop`` does, or, as an epoch ends, after that epoch, which counts.

    Returns:
        A ``Run``.

    Raises:
        Diverged: when the loss or the weights are no longer numbers. What the folder holds stays.
        FolderError: for a folder that is in use, holds another run, is damaged or cannot be written.
        ValueError: for a network that does not fit the data, for a second owner of the learning rate, for a seed,
            ``precision``, ``strategy``, ``deterministic`` or ``progress`` that is none, and for batches that do not
            divide among the devices.
    """
    callbacks = tuple(callbacks)
    between_updates.refuse_second_schedule(callbacks)
    refuse_other_kind(progress)
    refuse_misfit(spec, recipe, dataset)
    wanted = {"spec": spec, "recipe": recipe, "seed": seed, "precision": precision, "strategy": strategy}
    wanted |= {} if deterministic is None else {"deterministic": deterministic}
    watch = {"progress": progress, "stop": stop, "callbacks": callbacks}
    if out is None:
        settings = Settings(**wanted | _decided(precision, deterministic, strategy))
        return _Training(settings, dataset, None, None).run(**watch)
    folder = RunFolder(out)
    settings, description = _opened(folder, wanted, dataset)  # what is refused leaves nothing behind
    if "result" not in description:
        with folder.locked():
            settings, description = _opened(folder, wanted, dataset)  # as it is now that no one else changes it
            if "result" not in description:
                return _Training(settings, dataset, folder, description).run(**watch)
    return finished_run(settings, folder, description)  # without the lock: whoever may read the folder may read the run


def _opened(folder, wanted, dataset):
    """Return the settings and the description of the run in a folder, or of the one that is to begin there."""
    description = folder.description()
    if description is None:
        settings = Settings(**wanted | _decided(wanted["precision"], wanted.get("deterministic"), wanted["strategy"]))
        return settings, describe(settings, dataset)
    refuse_other_run(folder, description, wanted, dataset)
    settings = stored_settings(folder, description)
    if "result" not in description:  # any machine can read a finished run
        refuse_other_devices(folder, settings)
    return settings, description


def resume(out, dataset, **watch):
    """Go on with the run in a folder.

    Args:
        out: the folder.
        dataset: the data set that ``run.json`` names.
        **watch: ``progress``, ``stop`` and ``callbacks``, as for ``train``.

    Returns:
        A ``Run``.

    Raises:
        FolderError: if the folder holds no run, and as for ``train``.
    """
    folder = RunFolder(out)
    settings, _ = run_in(folder)
    refuse_other_data(folder, folder.description(), dataset)
    return train(settings.spec, settings.recipe, dataset, out, settings.seed, strategy=settings.strategy, **watch)


def _decided(precision, deterministic, strategy):
    """Return the settings that a new run takes from this machine."""
    backend.shares(strategy)  # refuses one that this machine cannot follow
    if deterministic is None:
        deterministic = all(kind == "CPU" for kind, _ in backend.devices())
    return {
        "precision": choose_precision(precision),
        "deterministic": deterministic,
        "devices": backend.processor_parts() if strategy else None,
    }


class _Training:
    """One call of ``train`` that trains: settings, data, and the folder with its description, both None in memory."""

    def __init__(self, settings, dataset, folder, description):
        self.settings, self.dataset, self.folder, self.description = settings, dataset, folder, description

    def run(self, progress, stop, callbacks):
        """Train, or go on."""
        settings = self.settings
        if settings.deterministic:
            backend.make_deterministic()
        self.model = compile_model(settings.spec, settings.recipe, settings.seed, settings.precision, settings.strategy)
        if stop and stop.is_set():
            return run_of(settings, self.model, self._restore()[2], finished=False)
        self.batches, self.validation = batches.train_and_validation(self.dataset, settings.recipe, settings.seed)
        refuse_uneven(settings.strategy, self.batches, self.validation)
        epoch, step, log = self._restore()
        asked = [between_updates.StopAsked(stop)] if stop else []
        try:
            if step < settings.recipe.steps:
                self._fit(epoch, step, log, progress, [*callbacks, *asked])
            if log.step < settings.recipe.steps:
                return run_of(settings, self.model, log, finished=False)
            return self._finish(log, asked)
        except between_updates.Stopped:
            return run_of(settings, self.model, log, finished=False)

    def _restore(self):
        """Put the last whole epoch's state back; return its number, its updates and a log to go on with."""
        if self.folder is None:
            return 0, 0, between_updates.StepLog()
        arrays, epoch, step = self.folder.restore()
        if step:
            self._set_state(arrays)
            self.description.setdefault("resumed", []).append({"epoch": epoch, **surroundings()})
        else:  # nothing is left of what an earlier call did, so the run is this one's
            self.description.pop("resumed", None)
            self.description |= surroundings()
        lines = self.folder.rewind(epoch)
        self.folder.describe(self.description)
        return epoch, step, between_updates.StepLog(step, lines)

    def _set_state(self, arrays):
        try:
            between_updates.set_state(self.model, arrays)
        except ValueError as error:
            raise self.folder.damaged_checkpoint(error) from error

    def _fit(self, epoch, step, log, progress, callbacks):
        """Make the updates that are left."""
        recipe = self.settings.recipe
        seen = progress_callbacks(progress, log, recipe.steps, recipe.batch_size, step)
        between = [
            log,
            between_updates.Guard(log, self._advice()),
            *([between_updates.Keep(self.folder, log)] if self.folder else []),
            *seen,
            *callbacks,
            between_updates.CutShort(log, recipe.steps),
        ]
        with contextlib.ExitStack() as closing:
            for shown in seen:
                closing.callback(getattr(shown, "close", lambda: None))
            _fit(self.model, recipe, self.batches, self.validation, between, epoch, step)

    def _advice(self):
        if self.folder is None:
            return ""
        return f" Begin in another folder; {self.folder.path} keeps the epochs that were whole."

    def _finish(self, log, asked):
        """Test the net, the only time that the test images are read, and write down what came out."""
        loss, error, images = self._test(asked)
        run = run_of(self.settings, self.model, log, finished=True, test_loss=loss, test_error=error)
        if self.folder:
            last = {key: value for key, value in log.epochs[-1].items() if key.startswith("val_")}
            result = {"test_error": error, "test_loss": loss, **last, "seconds": run.seconds}
            parameters = sum(math.prod(weight.shape) for weight in self.model.trainable_weights)
            result |= {"test_images": images, "parameters": parameters, "peak_memory": machine.peak_memory()}
            self.folder.finish(self.model.save_weights, self.description | {"result": result})
        return run

    def _test(self, asked):
        images = batches.Batches(
            self.dataset.x_test, self.dataset.y_test, batches.EVALUATION_BATCH, mean=self.batches.mean
        )
        model = self._on_one_device()
        with _memory_freed(model):
            found = model.evaluate(backend.pipeline(images), verbose=0, return_dict=True, callbacks=asked)
        if not math.isfinite(found["loss"]):
            what = f"the test loss is {found['loss']} after update {self.settings.recipe.steps}"
            raise between_updates.diverged(self.model, what, self._advice())
        return found["loss"], between_updates.error(found), len(images.y)

    def _on_one_device(self):
        """Return the net as one device can test it: any number of images, which several must be able to share."""
        settings = self.settings
        if settings.strategy is None:
            return self.model
        model = compile_model(settings.spec, settings.recipe, settings.seed, settings.precision)
        model.set_weights(self.model.get_weights())
        return model
