"""What a sweep's folder holds already: finished runs are skipped, other runs are refused before anything starts."""

import dataclasses
import json

from resnet_lessons import results
from resnet_lessons.results.records import RUN

from .plan import SweepError

NEW, UNFINISHED, FINISHED = "new", "unfinished", "finished"


@dataclasses.dataclass(frozen=True)
class Standing:
    """How far a run is.

    Args:
        state: "new", "unfinished" or "finished".
        test_error: of a finished run, between 0 and 1.
        hours: that its training took.
    """

    state: str
    test_error: float | None = None
    hours: float | None = None


def standing(plan, dataset):
    """Look at the folder of every run of a plan.

    Args:
        plan: a ``Plan``.
        dataset: the ``data.Dataset`` that the runs are to be trained on.

    Returns:
        A dict of run name to ``Standing``.

    Raises:
        SweepError: for a folder that is damaged or holds another run, and for a recipe that the data are too few for.
    """
    return {run.name: _standing(plan.out / run.name, run, dataset) for run in plan.runs}


def _standing(folder, run, dataset):
    if run.recipe.validation >= len(dataset.y_train):
        raise SweepError(
            f"{run.name} holds {run.recipe.validation:,} images back and {dataset.title} has {len(dataset.y_train):,} "
            "to train on. Choose smoke = true or another data set."
        )
    path = folder / RUN
    if not path.exists():
        return Standing(NEW)
    try:
        stored = json.loads(path.read_text(encoding="utf-8"))
        settings, digest = results.Settings.from_json(stored), stored["data"]["sha256"]
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise SweepError(f"{path} cannot be read ({error!r}). Restore it, or remove that folder.") from error
    wanted = {"spec": run.spec, "recipe": run.recipe, "seed": run.seed, "precision": run.precision, "strategy": None}
    found = settings.differing(wanted)
    if digest != dataset.digest:
        found.append(f"data is {digest[:12]}, asked for is {dataset.digest[:12]} ({dataset.title})")
    if found:
        raise SweepError(
            f"{folder} holds another run than the sweep's: {'; '.join(found)}. Choose another folder for the sweep, or "
            "remove that one."
        )
    if "result" not in stored:
        return Standing(UNFINISHED)
    try:
        record = results.read(folder)
    except results.RecordError as error:
        raise SweepError(str(error)) from error
    return Standing(FINISHED, record.result["test_error"], sum(epoch.seconds for epoch in record.log) / 3600)
