"""The live trainer: its buttons, its words and its curve, with and without an event loop, and every way it can end."""

import asyncio
import dataclasses
import html
import json
import re
import shutil
import signal
import threading
import time
import types

from resnet_lessons import plots, recipes, training, widgets
from resnet_lessons.results import records
from resnet_lessons.widgets import live_trainer, run_words

import html_tables
import numpy as np
import pytest
import traitlets
from small_runs import DROPPING, HELD_BACK, dataset, same_weights
from widget_parts import assert_named, control, drawings, picture

OPTIONS = {"precision": "float32", "deterministic": True}
ENDLESS = dataclasses.replace(HELD_BACK, name="endless", steps=10**6, drops=())


def trainer_of(folder):
    """Make a trainer of the run that the fixtures ``reference`` and ``stopped`` are of."""
    return widgets.LiveTrainer(dataset(), DROPPING, HELD_BACK, folder / "runs", **OPTIONS)


@pytest.fixture
def trainer(tmp_path):
    """A trainer of a tiny net; whatever a test leaves running is stopped."""
    made = trainer_of(tmp_path)
    yield made
    made.stop()
    if made._last is not None:
        assert made._last.wait(60)


button = control


def test_a_run_is_called_as_the_train_command_calls_it(trainer):
    assert trainer.out.name == records.run_name(DROPPING, HELD_BACK, 0, dataset().name)


class Idle:
    """In place of ``training.Background``, where nothing has to train: it makes no update and ends when it is told."""

    def __init__(self, spec, recipe, dataset, out, seed, **options):  # noqa: ARG002
        self.spec, self.recipe, self.out, self.seed = spec, recipe, out, seed
        self.run, self.error, self.asked_to_stop = types.SimpleNamespace(finished=False), None, False

    def stop(self):
        self.asked_to_stop = True

    def wait(self, timeout=None):  # noqa: ARG002
        return True

    @property
    def done(self):
        return self.asked_to_stop

    def progress(self):
        return training.Progress("ended" if self.asked_to_stop else "starting")


@pytest.fixture
def idle(monkeypatch):
    monkeypatch.setattr(live_trainer.training, "Background", Idle)


def enabled(trainer):
    """Name the buttons that can be pressed."""
    return [label for label in ("Train", "Stop", "Resume") if not button(trainer, label).disabled]


def words(trainer):
    return trainer.children[2].value


def moving(trainer):
    return trainer.children[3].value


def rows(trainer):
    return html_tables.rows(trainer.children[-1].value)[1:] if trainer.children[-1].value else []


def until(condition, seconds=60):
    """Wait for a condition, which the training's thread makes true."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)


# Before the first press


def test_it_starts_ready_with_an_empty_frame(trainer):
    assert trainer.state == "ready"
    assert enabled(trainer) == ["Train"]
    assert "Not trained yet, 10 updates of 16 images" in words(trainer)
    assert (trainer.run, trainer.error, rows(trainer)) == (None, None, [])
    [drawing] = drawings(trainer)
    alt, width, height = picture(drawing.value)
    assert alt.startswith(f"Errors against updates of {DROPPING.name} by tiny, seed 0")
    assert (width, height) == (1536, 652)
    assert not trainer.out.exists()  # to look leaves nothing behind
    assert repr(trainer) == f"LiveTrainer({DROPPING.name}, tiny, ready)"


def test_every_control_says_what_it_is(trainer):
    assert_named(trainer)
    seed = trainer.children[0]
    assert (seed.description, seed.disabled) == ("seed", False)
    for label in ("Train", "Stop", "Resume"):
        assert button(trainer, label).tooltip
        assert button(trainer, label).tabbable is not False
    assert 'role="status"' in words(trainer)  # a screen reader says it when it changes


def test_each_choice_has_its_own_folder(trainer):
    found = {trainer.out}
    trainer.seed = 1
    found.add(trainer.out)
    trainer.recipe = dataclasses.replace(HELD_BACK, name="other")
    found.add(trainer.out)
    trainer.spec = dataclasses.replace(DROPPING, depth=14)
    found.add(trainer.out)
    assert len(found) == 4
    assert trainer.out.name == f"{trainer.spec.name}-other-bright-seed1"


@pytest.mark.parametrize("seed", [0, 12345, recipes.HIGHEST_SEED])
def test_the_seed_shown_is_the_seed_meant(tmp_path, seed):
    made = widgets.LiveTrainer(dataset(), DROPPING, HELD_BACK, tmp_path, seed=seed)
    field = control(made, "seed")
    assert field.value == made.seed == seed
    field.value = 77
    assert made.seed == 77
    made.seed = seed
    assert field.value == seed


@pytest.mark.parametrize("seed", [-5, recipes.HIGHEST_SEED + 1])
def test_a_seed_that_no_run_has_is_refused(trainer, tmp_path, seed):
    with pytest.raises(traitlets.TraitError, match=f"'seed' .* should not be .*{seed}"):
        widgets.LiveTrainer(dataset(), DROPPING, HELD_BACK, tmp_path, seed=seed)
    with pytest.raises(traitlets.TraitError):
        trainer.seed = seed
    assert (trainer.seed, control(trainer, "seed").value) == (0, 0)


# A whole run


def test_train_returns_at_once_and_the_run_is_train_s_own(trainer, reference):
    before = time.monotonic()
    button(trainer, "Train").click()
    assert time.monotonic() - before < 1
    assert trainer.state == "training"
    assert enabled(trainer) == ["Stop"]
    run = trainer.wait()
    assert run is trainer.run
    assert same_weights(run.model, reference[0].model)
    assert trainer.state == "finished"
    assert enabled(trainer) == []
    assert f"test error {100 * run.test_error:.1f}% on bright" in words(trainer)
    assert [row[:2] for row in rows(trainer)] == [["1", "4"], ["2", "8"], ["3", "10"]]
    assert trainer.progress.step == HELD_BACK.steps


def test_a_finished_run_is_found_again(reference, tmp_path):
    run, folder = reference
    shutil.copytree(folder, trainer_of(tmp_path).out)
    again = trainer_of(tmp_path)
    assert (again.state, enabled(again)) == ("finished", [])
    assert f"Finished: test error {100 * run.test_error:.1f}%" in words(again)
    shown = [[str(line["epoch"]), str(line["step"]), f"{100 * line['train_error']:.1f}%"] for line in run.epochs]
    assert [row[:3] for row in rows(again)] == shown
    again.seed = 1
    assert (again.state, enabled(again), rows(again)) == ("ready", ["Train"], [])


@pytest.fixture
def begun_runs(monkeypatch):
    """List the trainings that are begun; none of them really trains."""
    started = []

    class Counted(Idle):
        def __init__(self, *args, **options):
            started.append(self)
            time.sleep(0.05)  # as long as a press may take to overtake another
            super().__init__(*args, **options)

    monkeypatch.setattr(live_trainer.training, "Background", Counted)
    return started


def test_two_presses_start_one_run(trainer, begun_runs):
    threads = [threading.Thread(target=trainer.train) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    button(trainer, "Train").click()
    assert len(begun_runs) == 1
    assert trainer.state == "training"


# Two pages in one kernel


def test_presses_on_two_pages_start_one_run(trainer, begun_runs, tmp_path):
    pages = [trainer, trainer_of(tmp_path)]
    threads = [threading.Thread(target=page.train) for page in pages]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(begun_runs) == 1
    assert [page.state for page in pages] == ["training"] * 2


def test_another_run_is_refused_while_one_trains_on_another_page(trainer, begun_runs, tmp_path):
    other = trainer_of(tmp_path)
    other.seed = 1
    trainer.train()
    button(other, "Train").click()
    assert len(begun_runs) == 1
    assert (other.state, enabled(other)) == ("ready", ["Train"])
    said = f"{trainer.spec.name} by {trainer.recipe.name}, seed 0 trains on another page of this notebook."
    assert f"<p>{said} Choose it here to watch and stop it.</p>" in words(other)
    with pytest.raises(RuntimeError, match=said):
        other.wait()
    trainer.stop()
    button(other, "Train").click()
    assert (len(begun_runs), other.state) == (2, "training")
    other.stop()


def test_a_recipe_of_the_same_name_is_not_shown_for_the_one_that_trains(trainer, begun_runs, tmp_path):
    trainer.train()
    same_name = dataclasses.replace(HELD_BACK, learning_rate=0.05)
    other = widgets.LiveTrainer(dataset(), DROPPING, same_name, tmp_path / "runs", **OPTIONS)
    button(other, "Train").click()
    assert (other.state, len(begun_runs)) == ("ready", 1)


def test_runs_of_another_folder_are_no_pages_concern(trainer, begun_runs, tmp_path):
    trainer.train()
    other = trainer_of(tmp_path / "elsewhere")
    other.train()
    assert len(begun_runs) == 2
    other.stop()


def test_a_page_made_while_the_run_trains_shows_it_and_stops_it(trainer, monkeypatch, tmp_path):
    """As when the cell that makes the page is run again."""
    monkeypatch.setattr(live_trainer, "PACE", 0.0)
    trainer.recipe = ENDLESS

    async def cells():
        trainer.train()
        while trainer.progress.step < 5:
            await asyncio.sleep(0.01)
        again = widgets.LiveTrainer(dataset(), DROPPING, ENDLESS, tmp_path / "runs", **OPTIONS)
        assert (again.state, enabled(again)) == ("training", ["Stop"])
        shown = [moving(page) for page in (trainer, again)]
        while any(moving(page) == before for page, before in zip((trainer, again), shown, strict=True)):
            await asyncio.sleep(0.01)
        button(again, "Stop").click()
        run = await again.finished()
        while trainer.state != "stopped":
            await asyncio.sleep(0.01)
        return again, run

    again, run = asyncio.run(asyncio.wait_for(cells(), 60))
    assert run is again.run is trainer.run
    assert not run.finished
    assert (again.state, enabled(again), enabled(trainer)) == ("stopped", ["Resume"], ["Resume"])
    assert words(again) == words(trainer)


# The picture


def test_the_picture_is_that_of_the_run_that_is_chosen(trainer, reference):
    """Two finished runs of one network, seed and length, which only the recipe tells apart."""
    seen, [drawing] = {}, drawings(trainer)
    chosen = {rate: dataclasses.replace(HELD_BACK, name=f"rate {rate}", learning_rate=rate) for rate in (0.1, 1e-5)}
    for rate, recipe in chosen.items():
        trainer.recipe = recipe
        folder = shutil.copytree(reference[1], trainer.out)
        lines = [line | {"train_error": rate} for line in reference[0].epochs]
        (folder / "log.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        described = json.loads((folder / "run.json").read_text())
        described["recipe"] |= {"name": recipe.name, "learning_rate": rate}
        (folder / "run.json").write_text(json.dumps(described))
    for rate in (0.1, 1e-5, 0.1):
        trainer.recipe = chosen[rate]
        assert trainer.state == "finished"
        assert seen.setdefault(rate, drawing.value) == drawing.value
        assert f"by rate {rate}, seed 0" in picture(drawing.value)[0]
    one, other = (value.partition("src=")[2] for value in seen.values())
    assert one != other


def test_the_empty_frame_is_as_long_as_the_recipe(trainer):
    [drawing] = drawings(trainer)
    before = drawing.value
    trainer.recipe = dataclasses.replace(HELD_BACK, steps=20)  # of the same name, and so of the same folder
    assert drawing.value != before


# Another run in the folder

ANOTHER = {
    "recipe's learning_rate is 0.1, asked for is 0.05": {"recipe": dataclasses.replace(HELD_BACK, learning_rate=0.05)},
    "data is bright: noise of ten kinds (": {"dataset": dataset(seed=1)},
    "precision is float32, asked for is mixed_bfloat16": {"precision": "mixed_bfloat16"},
    "strategy is None, asked for is mirrored": {"strategy": "mirrored"},
    "deterministic is True, asked for is False": {"deterministic": False},
}


@pytest.mark.parametrize("said", ANOTHER)
def test_another_run_in_the_folder_is_not_taken_for_the_chosen_one(reference, tmp_path, said):
    """Neither its result nor its epochs are shown, and Resume says so again, without a training."""
    shutil.copytree(reference[1], trainer_of(tmp_path).out)
    same = {"dataset": dataset(), "spec": DROPPING, "recipe": HELD_BACK, "folder": tmp_path / "runs"} | OPTIONS
    assert widgets.LiveTrainer(**same).state == "finished"
    other = widgets.LiveTrainer(**same | ANOTHER[said])
    for _ in range(2):
        assert (other.state, enabled(other), rows(other)) == ("failed", ["Resume"], [])
        assert f"{other.out} holds another run: {said}" in html.unescape(words(other))
        assert "<p>On this page: choose another seed, which has a folder of its own.</p>" in words(other)
        assert 'role="alert"' in words(other)
        button(other, "Resume").click()
    with pytest.raises(training.FolderError, match="holds another run"):
        other.wait()
    assert other._last is None
    other.seed = 1
    assert (other.state, enabled(other)) == ("ready", ["Train"])


def test_options_that_leave_a_run_its_own_do_not_make_it_another(reference, tmp_path):
    shutil.copytree(reference[1], trainer_of(tmp_path).out)
    for options in ({}, {"precision": "auto", "strategy": None, "deterministic": None}):
        made = widgets.LiveTrainer(dataset(), DROPPING, HELD_BACK, tmp_path / "runs", **options)
        assert made.state == "finished"


def test_a_folder_that_was_cleared_can_be_begun(reference, tmp_path):
    out = shutil.copytree(reference[1], trainer_of(tmp_path).out)
    other = widgets.LiveTrainer(dataset(seed=1), DROPPING, HELD_BACK, tmp_path / "runs", **OPTIONS)
    shutil.rmtree(out)
    button(other, "Resume").click()
    assert other.state == "training"
    assert other.wait().finished


@pytest.mark.usefixtures("idle")
def test_a_recipe_of_the_same_name_chosen_while_one_trains_is_another(trainer):
    trainer.train()
    trainer.recipe = dataclasses.replace(HELD_BACK, learning_rate=0.05)
    trainer.stop()
    assert (trainer.state, enabled(trainer)) == ("ready", ["Train"])
    assert "Stopped after update 0." in words(trainer)
    assert "Not trained yet" in words(trainer)


# Stop and Resume


def begun(trainer):
    """Begin a long training; return, once it is well under way, how many seconds Stop may take: one, and an update."""
    trainer.recipe = ENDLESS
    trainer.train()
    until(lambda: trainer.progress.step > 5)
    first, before = trainer.progress.step, time.monotonic()
    until(lambda: trainer.progress.step > first + 15)
    return 1 + (time.monotonic() - before) / (trainer.progress.step - first)


def test_stop_answers_within_a_second_and_an_update(trainer, monkeypatch):
    limit = begun(trainer)
    with monkeypatch.context() as deaf:  # the negative control: a training that ignores Stop would be told
        deaf.setattr(training.Background, "stop", lambda _: None)
        button(trainer, "Stop").click()
        assert trainer.state == "training"
        assert not trainer._last.wait(limit)
    for attempt in range(3):  # other work on the machine may hold one of them up
        if attempt:
            trainer.seed = attempt
            limit = begun(trainer)
        before = time.monotonic()
        button(trainer, "Stop").click()
        assert trainer.state == "stopping"
        assert enabled(trainer) == []
        assert re.search(r"Stopping after the (update|batch of images) under way\.", words(trainer))  # or in validation
        run = trainer.wait()
        seconds = time.monotonic() - before
        if seconds < limit:
            break
    assert seconds < limit
    assert not run.finished
    assert (trainer.state, enabled(trainer)) == ("stopped", ["Resume"])
    made, kept = trainer.progress.step, len(run.epochs)
    assert kept > 1
    assert f"Stopped after update {made:,}. {kept} epochs are kept" in words(trainer)
    assert f"Resume begins with update {4 * kept + 1:,} of 1,000,000" in words(trainer)
    assert run.model is not None  # what was learned is kept, also since the last whole epoch


def test_stop_is_heard_while_a_run_starts(trainer, monkeypatch):
    """Pressed while the net is built: no update is made, and the words say what cannot be cut short."""
    built, go = threading.Event(), threading.Event()
    compile_model = training.engine.compile_model

    def slowly(*args):
        model = compile_model(*args)
        built.set()
        assert go.wait(60)
        return model

    monkeypatch.setattr(training.engine, "compile_model", slowly)
    trainer.train()
    assert built.wait(60)
    assert trainer.progress.phase == "starting"
    button(trainer, "Stop").click()
    assert trainer.state == "stopping"
    assert "its first update, once begun, is made to its end" in words(trainer)
    go.set()
    run = trainer.wait()
    assert (run.finished, len(run.step_error), trainer.progress.step) == (False, 0, 0)
    assert "Stopped after update 0. No epoch was whole yet: Resume begins with update 1 of 10." in words(trainer)
    assert enabled(trainer) == ["Resume"]


def test_what_is_left_after_the_last_update_is_said(trainer, monkeypatch):
    """Stopped in the test: no update is left, and Resume says at once that the test images are read."""
    test, said = training.engine._Training._test, []

    def stopped(self, asked):
        trainer.stop()
        said.append(words(trainer))
        return test(self, asked)

    with monkeypatch.context() as patched:
        patched.setattr(training.engine._Training, "_test", stopped)
        trainer.train()
        assert not trainer.wait().finished
    assert "Stopping after the batch of images under way." in said[0]
    kept = "3 epochs are kept, and all updates are made: Resume reads the test images."
    assert f"Stopped after update 10. {kept}" in words(trainer)
    trainer.seed = 1
    trainer.seed = 0
    assert f"Begun and not finished. {kept}" in words(trainer)
    seen = []

    def noted(self, asked):
        trainer._redraw()
        seen.append(moving(trainer))
        return test(self, asked)

    monkeypatch.setattr(training.engine._Training, "_test", noted)
    trainer.train()
    assert trainer.wait().finished
    assert seen == ["Update 10 of 10. All updates are made. Reading the test images, once."]


def test_what_is_read_aloud_changes_with_the_state_and_the_epochs_alone(trainer, monkeypatch):
    monkeypatch.setattr(live_trainer, "PACE", 0.0)
    said, moved = [], []
    trainer.children[2].observe(lambda change: said.append(change["new"]), "value")
    trainer.children[3].observe(lambda change: moved.append(change["new"]), "value")

    async def cell():
        trainer.train()
        return await trainer.finished()

    asyncio.run(cell())
    heard = [re.sub("<[^>]+>", "", value).partition(": ")[2] for value in said]
    assert heard[-1].startswith("Finished")
    everything = ["Training; no epoch is whole.", "Training; 1 epoch is whole.", "Training; 2 epochs are whole."]
    everything += ["Training; 3 epochs are whole."]
    assert heard[:-1] == [one for one in everything if one in heard]  # each at most once
    assert heard[0] == everything[0]
    assert len(moved) > len(said)
    assert not any("role=" in value for value in moved)
    assert moving(trainer) == ""


def test_resume_goes_on_to_the_same_end(reference, stopped, tmp_path):
    shutil.copytree(stopped, trainer_of(tmp_path).out)
    trainer = trainer_of(tmp_path)
    assert (trainer.state, enabled(trainer)) == ("stopped", ["Resume"])
    assert "Begun and not finished. 2 epochs are kept: Resume begins with update 9 of 10." in words(trainer)
    assert len(rows(trainer)) == 2
    button(trainer, "Resume").click()
    run = trainer.wait()
    assert same_weights(run.model, reference[0].model)
    assert len(run.step_error) == 2
    assert len(rows(trainer)) == 3


def test_a_line_without_its_checkpoint_is_not_said_to_be_kept(ahead, tmp_path):
    """After a kill between the two, Resume makes the last epoch's updates again."""
    trainer = trainer_of(tmp_path)
    trainer.out.parent.mkdir()
    ahead.rename(trainer.out)
    trainer.seed = 1
    trainer.seed = 0
    assert "Begun and not finished. 2 epochs are kept: Resume begins with update 9 of 10." in words(trainer)
    assert [row[:2] for row in rows(trainer)] == [["1", "4"], ["2", "8"]]


# While it trains


def test_another_choice_while_it_trains_waits_for_its_end(trainer):
    trainer.recipe = ENDLESS
    trainer.train()
    until(lambda: trainer.progress.step > 5)
    trainer.spec = dataclasses.replace(DROPPING, depth=14)
    assert trainer.state == "training"
    trainer.stop()
    trainer.wait()
    assert (trainer.state, enabled(trainer)) == ("ready", ["Train"])  # of the one that is chosen now
    assert f"{DROPPING.name} by endless, seed 0: Stopped after update" in words(trainer)
    assert "Not trained yet" in words(trainer)
    trainer.spec = DROPPING
    assert (trainer.state, enabled(trainer)) == ("stopped", ["Resume"])


@pytest.fixture
def chained(trainer, idle):  # noqa: ARG001
    """A trainer whose observer begins the run of the next seed when that of seed 0 has stopped."""

    def go_on(change):
        if (change["new"], trainer.seed) == ("stopped", 0):
            trainer.seed = 1
            trainer.train()

    trainer.observe(go_on, "state")
    trainer.train()
    return trainer


def test_who_hears_of_the_end_may_choose_another_run(trainer, idle):  # noqa: ARG001
    heard = []

    def choose(change):
        heard.append((change["new"], enabled(trainer)))
        if change["new"] == "stopped":
            trainer.seed = 1

    trainer.observe(choose, "state")
    trainer.train()
    trainer.stop()
    assert ("stopped", ["Resume"]) in heard  # the page is drawn by then
    assert (trainer.state, enabled(trainer)) == ("ready", ["Train"])
    assert f"{DROPPING.name} by tiny, seed 1: Not trained yet" in words(trainer)


def test_who_waits_has_the_run_that_was_waited_for(chained):
    first = chained._last
    first.stop()
    assert chained.wait() is first.run
    assert chained._last is not first
    assert (chained.state, enabled(chained)) == ("training", ["Stop"])
    assert f"{DROPPING.name} by tiny, seed 1: Training" in words(chained)


def test_a_cell_has_the_run_that_it_waited_for(chained):
    first = chained._last

    async def cell():
        waiting = asyncio.ensure_future(chained.finished())
        await asyncio.sleep(0.01)
        chained.stop()  # and with this the next begins
        return await asyncio.wait_for(waiting, 10)

    assert asyncio.run(cell()) is first.run
    assert chained.state == "training"


def test_the_loop_redraws_while_a_cell_waits(trainer, monkeypatch):
    """As in a notebook: the thread touches no widget, the curve moves, and a button is heard."""
    monkeypatch.setattr(live_trainer, "PACE", 0.0)
    trainer.recipe = dataclasses.replace(ENDLESS, steps_per_epoch=10**6)  # each epoch's end would be drawn too
    seen, drawn_in = [], set()

    def draw(change):
        drawn_in.add(threading.current_thread())
        seen.append(change["new"])

    [image] = drawings(trainer)
    image.observe(draw, "value")

    async def cell():
        trainer.train()
        while len(seen) < 4:
            await asyncio.sleep(0.01)
        button(trainer, "Stop").click()
        return await trainer.finished()

    run = asyncio.run(cell())
    assert not run.finished
    assert trainer.state == "stopped"
    assert re.search(r"after update [1-9].* No epoch was whole yet: Resume begins with update 1 of 1,", words(trainer))
    assert len(set(seen)) >= 4
    assert drawn_in == {threading.main_thread()}


def test_a_loop_that_has_gone_does_not_stop_the_training(trainer):
    async def cell():
        trainer.train()

    asyncio.run(cell())
    assert trainer.wait().finished


def test_cancelling_the_cell_that_waits_stops_the_training(trainer):
    """What ipykernel does on an interrupt."""
    trainer.recipe = ENDLESS

    async def cell():
        trainer.train()
        waiting = asyncio.ensure_future(trainer.finished())
        while trainer.progress.step < 5:
            await asyncio.sleep(0.01)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(cell())
    assert trainer._last.wait(60)
    assert not trainer._last.run.finished


@pytest.fixture
def interrupts():
    """Have Python answer an interrupt, which a process that a shell began in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("interrupts")
def test_interrupting_a_program_that_waits_stops_the_training(trainer):
    trainer.recipe = ENDLESS
    trainer.train()
    until(lambda: trainer.progress.step > 5)
    main = threading.main_thread().ident
    timer = threading.Timer(0.2, signal.pthread_kill, (main, signal.SIGINT))
    timer.start()
    with pytest.raises(KeyboardInterrupt):
        trainer.wait()
    timer.join()
    assert trainer._last.wait(60)


# The kernel's interrupts


class Kernel:
    saved_sigint_handler = signal.SIG_IGN


class Events:
    def __init__(self):
        self.callbacks = {"post_run_cell": []}

    def register(self, name, function):
        self.callbacks[name].append(function)


class Shell:
    def __init__(self):
        self.kernel, self.events = Kernel(), Events()


class Result:
    def __init__(self, error):
        self.error_in_exec = error


@pytest.fixture
def shell(monkeypatch):
    made = Shell()
    monkeypatch.setattr("resnet_lessons.widgets.interrupts.get_ipython", lambda: made)
    return made


def test_an_interrupt_between_cells_stops_the_training(trainer, shell):
    trainer.recipe = ENDLESS
    trainer.train()
    until(lambda: trainer.progress.step > 5)
    shell.kernel.saved_sigint_handler(signal.SIGINT, None)  # what the kernel has put back by now
    assert trainer._last.wait(60)
    trainer.wait()
    assert trainer.state == "stopped"


@pytest.mark.parametrize(
    ("error", "stops"),
    [(KeyboardInterrupt(), True), (asyncio.CancelledError(), True), (ValueError(), False), (None, False)],
)
@pytest.mark.usefixtures("idle")
def test_a_cell_that_was_interrupted_stops_the_training_and_no_other_error_does(trainer, shell, error, stops):
    trainer.train()
    [after_cell] = shell.events.callbacks["post_run_cell"]
    after_cell(Result(error))
    assert trainer._last.asked_to_stop is stops


@pytest.mark.usefixtures("idle")
def test_the_kernel_is_asked_once(trainer, shell):
    for seed in (0, 1):
        trainer.seed = seed
        trainer.train()
        trainer.stop()
        assert trainer.state == "stopped"
    assert len(shell.events.callbacks["post_run_cell"]) == 1


@pytest.mark.usefixtures("idle")
def test_another_handler_is_left_alone(trainer, shell):
    shell.kernel.saved_sigint_handler = signal.default_int_handler
    trainer.train()
    assert shell.kernel.saved_sigint_handler is signal.default_int_handler


# What goes wrong is said


def test_a_run_that_diverges_says_so(trainer):
    trainer.recipe = dataclasses.replace(HELD_BACK, name="absurd", learning_rate=1e30)
    trainer.train()
    with pytest.raises(training.Diverged):
        trainer.wait()
    assert trainer.state == "failed"
    assert isinstance(trainer.error, training.Diverged)
    assert re.search(r"Failed after update [1-9]\d*\. Training diverged", words(trainer))
    assert "On this page: choose another recipe or seed." in words(trainer)  # it has no field for a folder
    assert "On this page" not in str(trainer.error)
    assert 'role="alert"' in words(trainer)
    assert enabled(trainer) == ["Resume"]


def test_a_folder_in_use_is_said_and_can_be_tried_again(trainer):
    with training.RunFolder(trainer.out).locked():
        trainer.train()
        with pytest.raises(training.FolderError):
            trainer.wait()
    assert "seed 0: Failed. Another process is training in" in words(trainer)
    button(trainer, "Resume").click()
    assert trainer.state == "training"
    trainer.stop()
    assert trainer.wait().model is not None


def test_a_net_that_does_not_fit_the_data_is_said(trainer):
    trainer.spec = dataclasses.replace(DROPPING, input_shape=(16, 16, 3))
    trainer.train()
    with pytest.raises(ValueError, match="The network takes images of"):
        trainer.wait()
    assert "ValueError: The network takes images of (16, 16, 3)" in words(trainer)


def test_an_error_of_another_kind_is_named_and_not_taken_for_html(trainer, monkeypatch):
    def fails(*_, **__):
        raise RuntimeError("<b>odd</b> & more")

    monkeypatch.setattr(training.background, "train", fails)
    trainer.train()
    with pytest.raises(RuntimeError):
        trainer.wait()
    assert "RuntimeError: &lt;b&gt;odd&lt;/b&gt; &amp; more" in words(trainer)


def test_a_damaged_folder_is_said_before_anything_is_pressed(tmp_path):
    out = trainer_of(tmp_path).out
    out.mkdir(parents=True)
    (out / "run.json").write_text("{")
    trainer = trainer_of(tmp_path)
    assert trainer.state == "failed"
    assert "run.json cannot be read" in words(trainer)


@pytest.mark.parametrize("result", [{"test_error": "small"}, {"test_error": None}, {}, [], None])
def test_a_result_that_is_none_is_said(reference, tmp_path, result):
    out = shutil.copytree(reference[1], trainer_of(tmp_path).out)
    described = json.loads((out / "run.json").read_text())
    (out / "run.json").write_text(json.dumps(described | {"result": result}))
    trainer = trainer_of(tmp_path)
    assert (trainer.state, enabled(trainer)) == ("failed", ["Resume"])
    assert "run.json does not describe a run" in words(trainer)


@pytest.mark.parametrize("error", [PermissionError("not yours"), ValueError("not yours")])
def test_a_folder_that_cannot_be_read_is_said(trainer, monkeypatch, error):
    def fails(_):
        raise error

    monkeypatch.setattr(training.RunFolder, "description", fails)
    trainer.seed = 1
    assert f"{type(error).__name__}: not yours" in words(trainer)
    button(trainer, "Resume").click()
    assert (trainer.state, trainer.error, enabled(trainer)) == ("failed", error, ["Resume"])


# The pure functions


def test_the_table_shows_the_last_epochs():
    line = {"train_loss": 1.0, "train_error": 0.25, "lr": 0.1, "seconds": 2.0}
    epochs = [line | {"epoch": n, "step": 4 * n} for n in range(1, 12)]
    header, *found = html_tables.rows(widgets.epoch_table(epochs))
    assert header == ["epoch", "update", "training error", "validation error", "learning rate", "seconds"]
    assert [row[0] for row in found] == [str(n) for n in range(4, 12)]
    assert found[-1] == ["11", "44", "25.0%", "", "0.1", "2.0"]
    [_, validated] = html_tables.rows(widgets.epoch_table([epochs[0] | {"val_error": 0.5}]))
    assert validated[3] == "50.0%"
    nothing_held_back = epochs[0] | {"val_loss": None, "val_error": None}  # as ``results.Epoch`` has it
    assert widgets.epoch_table([nothing_held_back]) == widgets.epoch_table(epochs[:1])
    assert widgets.epoch_table([]) == ""


@pytest.mark.parametrize(
    ("progress", "said"),
    [
        (training.Progress(), "Update 0 of 100. Building the network; the first update takes longest."),
        (
            training.Progress("training", 40, np.array([0.5, 1.0]), (), 30.0),
            "Update 42 of 100, training error 75.0% (mean of the last 2). About 30 s left.",
        ),
        (training.Progress("training", 40), "Update 40 of 100."),
        (training.Progress("validating", 40), "Update 40 of 100. Looking at the validation images."),
        (training.Progress("testing", 100), "Update 100 of 100. All updates are made. Reading the test images, once."),
    ],
)
def test_progress_in_words(progress, said):
    assert run_words.progress_words(progress, 100) == said


def test_the_curves_of_a_resumed_run_stand_where_its_updates_were():
    _, ax = plots.figure()
    epochs = [{"step": 4, "train_error": 0.9, "val_error": 0.8}, {"step": 8, "train_error": 0.7}]
    plots.training_progress(ax, epochs, [0.5, 0.25], first_step=8, steps=20, window=2)
    lines = {line.get_label(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert lines["training, mean of 2 updates"] == [[10, 37.5]]
    assert lines["training, mean of an epoch"] == [[4, 90], [8, 70]]
    assert lines["validation"] == [[4, 80]]
    assert ax.get_xlim() == (0, 20)
    dashes = {line.get_linestyle() for line in ax.get_lines()[:2]}
    assert len(dashes) == 2  # told apart without colours
