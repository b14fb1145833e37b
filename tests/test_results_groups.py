"""Seeds put together: what is one group and what is not, and what is said of one."""

import statistics

from resnet_lessons import results
from resnet_lessons.specs import Spec

import pytest
import recorded_runs


@pytest.fixture
def records(tmp_path):
    """A function that writes runs and reads them: one for each dict of what differs from the usual one."""

    def make(*differences):
        for number, values in enumerate(differences):
            lines = values.pop("lines", None) or recorded_runs.log()
            run = recorded_runs.run(lines, **values)
            recorded_runs.write(tmp_path / f"run{number}", run, lines)
        return results.load(tmp_path)

    return make


def test_seeds_are_put_together_in_their_order(records):
    [group] = results.groups(records({"seed": 7}, {"seed": 0, "test_wrong": 1_800}, {"seed": 3}))
    assert group.seeds == (0, 3, 7)
    assert group.test_errors == (18.0, 19.0, 19.0)
    assert (group.spec, group.recipe["name"], group.data_title) == (Spec("v1", 20), "short", "CIFAR-10, original")
    assert group.test_error == pytest.approx((56 / 3, statistics.stdev([18, 19, 19])))


def test_a_single_seed_has_no_deviation(records):
    [group] = results.groups(records({}))
    assert group.test_error == (19.0, None)
    assert group.train_error == (pytest.approx(10), None)
    assert group.val_error == (pytest.approx(100 * 550 / 5000), None)


DATA = recorded_runs.run()["data"]


@pytest.mark.parametrize(
    "other",
    [
        {"spec": Spec("v1", 20, width=8)},
        {"recipe": recorded_runs.run()["recipe"] | {"weight_decay": 1e-3}},
        {"precision": "mixed_bfloat16"},
        {"strategy": "mirrored"},
        {"data": DATA | {"sha256": "1" * 64}},
        {"data": DATA | {"source": "CIFAR-10, JPEG re-encoding: told by its gaps"}},
    ],
    ids=lambda other: next(iter(other)),
)
def test_what_differs_in_more_than_the_seed_is_kept_apart(records, other):
    assert [group.seeds for group in results.groups(records({"seed": 0}, {"seed": 1} | other))] != [(0, 1)]


def test_of_a_seed_that_was_run_twice_the_first_run_counts(records):
    [group] = results.groups(records({"test_wrong": 1_000}, {"test_wrong": 2_000}))
    assert group.test_errors == (10.0,)


def test_groups_are_chosen_by_data_and_recipe(records):
    thousand = recorded_runs.run()["recipe"] | {"name": "short-1000"}
    drawn = DATA | {"name": "shapes10", "source": "shapes10: drawn"}
    found = records({}, {"recipe": thousand}, {"data": drawn}, {"data": drawn, "recipe": thousand})
    names = {(g.data["name"], g.recipe["name"]) for g in results.groups(found)}
    assert len(names) == 4
    [group] = results.groups(found, data="cifar10", recipe="short")
    assert (group.data["name"], group.recipe["name"]) == ("cifar10", "short")
    assert results.groups(found, data="mnist") == ()
    assert len(results.groups(found, specs=[Spec("v1", 20)])) == 4
    assert results.groups(found, specs=[Spec("v1", 20, width=8), Spec("plain", 20)]) == ()


def test_networks_may_come_from_a_generator(records):
    networks = [Spec("plain", 20), Spec("v1", 20)]
    found = records(*({"spec": spec} for spec in reversed(networks)))
    assert [group.spec for group in results.groups(found, specs=(spec for spec in networks))] == networks


def test_seconds_of_an_epoch_are_the_median_and_hours_all_there_were(records):
    slow = recorded_runs.log(epochs=3, last=176)
    slow[1]["seconds"] = 3600.0
    [group] = results.groups(records({"lines": slow}))
    per_update = [9.5 / 352, 3600 / 352, 9.625 / 176]  # the last line has half the updates
    [(seconds, hours)] = group.times.values()
    assert seconds == pytest.approx(352 * statistics.median(per_update))
    assert hours == pytest.approx((9.5 + 3600 + 9.625) / 3600)


def test_hardware_is_named_once_each_kind_and_has_its_own_times(records):
    gpu = {"processor": "some processor", "cores": 8, "accelerators": ["A100"]}
    resumed = [{"epoch": 1, **recorded_runs.SURROUNDINGS, "hardware": gpu}]
    fast = recorded_runs.log()  # two epochs, of 9.5 and 9.625 s
    fast[1]["seconds"] = 0.5
    [group] = results.groups(records({"seed": 0}, {"seed": 1, "resumed": resumed, "lines": fast}))
    assert group.hardware == "some processor, 2 cores; A100"
    assert group.times["some processor, 2 cores"] == pytest.approx((9.5, (9.5 + 9.625 + 9.5) / 2 / 3600))
    assert group.times["A100"] == pytest.approx((0.5, 0.5 / 3600))


def test_a_machine_that_made_no_epoch_has_no_times(records):
    gpu = {"processor": "some processor", "cores": 8, "accelerators": ["A100"]}
    resumed = [{"epoch": 2, **recorded_runs.SURROUNDINGS, "hardware": gpu}]  # of two: it tested the net
    [group] = results.groups(records({"resumed": resumed}))
    assert group.hardware == "some processor, 2 cores"


def test_no_records_are_no_groups():
    assert results.groups([]) == ()
