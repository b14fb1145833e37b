"""Run a plan: each run is ``training.train`` in a process of its own, as many at once as there is room for."""

import dataclasses
import os

from resnet_lessons import data

from . import cluster
from .plan import Planned
from .standing import FINISHED, standing

LOOK_SECONDS = 5.0  # between two looks at a cluster, which may have grown
END_SECONDS = 20.0  # for workers to end
WORKER_GONE = "its process is gone, often for lack of memory; fewer runs at once, or more memory, may help"


@dataclasses.dataclass(frozen=True)
class Outcome:
    """What became of one run.

    Args:
        name: of the run and of its folder.
        state: "finished", "failed", or "skipped" if it was finished before.
        test_error: the part of the test images that the net got wrong, between 0 and 1; None for a failed run.
        hours: of training, in all.
        reason: why it failed.
    """

    name: str
    state: str
    test_error: float | None = None
    hours: float | None = None
    reason: str = ""

    def words(self):
        """Say it in one line."""
        if self.state == "failed":
            return f"failed    {self.name}: {self.reason}"
        before = " before" if self.state == "skipped" else ""
        return f"finished  {self.name}{before}: test error {self.test_error:.2%}, {self.hours:.2f} h"


@dataclasses.dataclass(frozen=True)
class Task:
    """All that a worker needs, plain enough to be sent to another machine.

    Args:
        run: a ``Planned``.
        folder: of the run.
        data: name of the data set.
        source: where it lies; None to search.
        digest: of the data set that the sweep is on.
        cores: that the worker may use; TensorFlow alone keeps to them.
        gpus: that it may use, 0 or 1.
    """

    run: Planned
    folder: str
    data: str
    source: str | None
    digest: str
    cores: int
    gpus: int


def say_nothing(text):
    """Report progress to nobody."""


def run(plan, dataset, *, address=None, parallel=None, tell=say_nothing):
    """Train all runs of a plan that are not finished.

    What was interrupted goes on after its last whole epoch. A run that fails does not stop the others. Ctrl-C ends all
    workers, and the same call goes on from there.

    Args:
        plan: a ``Plan``.
        dataset: the ``data.Dataset`` that it names, as this machine has it; a worker that finds another fails.
        address: None for this machine alone, or that of a Ray cluster, as for ``cluster.connected``.
        parallel: runs at once, at the most; None: as many as there is room for.
        tell: called with a line of text when something begins or ends.

    Returns:
        An ``Outcome`` for each run, in the plan's order.

    Raises:
        SweepError: before anything runs, if the folders or the cluster do not admit the plan.
    """
    held = standing(plan, dataset)
    finished = [_skipped(run, held[run.name]) for run in plan.runs if held[run.name].state == FINISHED]
    for outcome in finished:
        tell(outcome.words())
    waiting = [run for run in plan.runs if held[run.name].state != FINISHED]
    if not waiting:
        return tuple(finished)
    tell("starting Ray on this machine" if address is None else f"connecting to the cluster at {address}")
    with cluster.connected(address) as ray:
        cores, gpus = cluster.share(_nodes(ray), plan, parallel)
        tell(_layout(cluster.room(_nodes(ray), cores, gpus, parallel), cores, gpus))
        tasks = [_task(plan, run, dataset.digest, cores, gpus) for run in waiting]
        ended = _spread(ray, tasks, parallel, tell)
    order = [run.name for run in plan.runs]
    return tuple(sorted([*finished, *ended], key=lambda outcome: order.index(outcome.name)))


def _skipped(run, held):
    return Outcome(run.name, "skipped", test_error=held.test_error, hours=held.hours)


def _task(plan, run, digest, cores, gpus):
    source = None if plan.source is None else str(plan.source)
    return Task(run, str(plan.out / run.name), plan.data, source, digest, cores, gpus)


def _layout(room, cores, gpus):
    on = f"{cores} core{'s' * (cores > 1)}" + (" and a GPU" if gpus else "")
    return f"{room} run{'s' * (room > 1)} at once, each on {on}"


def _nodes(ray):
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]


def _spread(ray, tasks, parallel, tell):
    """Start tasks while there is room, until all have ended; return their outcomes."""
    waiting, running, outcomes = list(tasks), {}, []
    try:
        while waiting or running:
            room = cluster.room(_nodes(ray), tasks[0].cores, tasks[0].gpus, parallel)
            while waiting and len(running) < max(1, room):  # a node that is lost may come back
                task = waiting.pop(0)
                tell(f"started   {task.run.name}")
                running[_start(ray, task)] = task
            ended, _ = ray.wait(list(running), timeout=LOOK_SECONDS)
            for reference in ended:
                outcomes.append(_outcome(ray, running.pop(reference).run.name, reference))
                tell(outcomes[-1].words())
    finally:
        _end(ray, list(running))
    return outcomes


def _start(ray, task):
    # A process for each run: its own seeds, threads and memory. What fails is reported, not tried again in silence.
    remote = ray.remote(max_calls=1, max_retries=0, num_cpus=task.cores, num_gpus=task.gpus)(train_one)
    return remote.remote(task)


def _end(ray, references):
    """End the workers of runs that have not ended, and wait until they have let go of their folders."""
    for reference in references:
        ray.cancel(reference, force=True)
    if references:
        ray.wait(references, num_returns=len(references), timeout=END_SECONDS)


def _outcome(ray, name, reference):
    try:
        return Outcome(name, **ray.get(reference))
    except ray.exceptions.RayTaskError as error:
        cause = error.cause or error  # which has none if it cannot be sent
        return Outcome(name, "failed", reason=_one_line(f"{type(cause).__name__}: {cause}"))
    except ray.exceptions.RayError as error:
        return Outcome(name, "failed", reason=f"{WORKER_GONE} ({type(error).__name__})")


def train_one(task):
    """Train one run, in a worker.

    Args:
        task: a ``Task``.

    Returns:
        The fields of an ``Outcome``, but for the name.
    """
    _confine(task)
    from resnet_lessons import training  # loads TensorFlow

    run = task.run
    try:
        dataset = _same_data(task)
        done = training.train(run.spec, run.recipe, dataset, task.folder, run.seed, run.precision, progress=None)
    except (ValueError, OSError) as error:  # told as they are; training it alone with --debug tells more
        return {"state": "failed", "reason": _one_line(error)}
    return {"state": "finished", "test_error": done.test_error, "hours": done.seconds / 3600}


def _confine(task):
    """Keep this process, one run's alone, to the run's cores and GPUs, before the backend is loaded.

    TensorFlow alone keeps to a number of cores. JAX documents no such setting and takes all that the process may run
    on; an affinity would have to name cores that no other worker has, and Ray counts them without saying which.
    """
    os.environ["TF_NUM_INTRAOP_THREADS"] = str(task.cores)
    if not task.gpus:
        os.environ["CUDA_VISIBLE_DEVICES"] = "-1"


def _same_data(task):
    dataset = data.load(task.data, task.source)
    if dataset.digest != task.digest:
        raise data.DataError(
            f"The worker finds other data than the sweep is on: {dataset.source}. Put the same data set on every "
            "machine of the cluster, or name one that all reach: source in the sweep's file."
        )
    return dataset


def _one_line(text):
    return " ".join(str(text).split())
