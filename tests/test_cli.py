"""The command line, driven as a user drives it."""

import json
import os
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

from resnet_lessons import __version__, bench, data, doctor, machine, recipes
from resnet_lessons.cli import main
from resnet_lessons.cli.program import Program
from resnet_lessons.doctor.finding import Finding

import click
import pytest
from command_line import START, WIDTH, process, run

SLOW_TO_LOAD = {"keras", "tensorflow", "jax", "matplotlib", "ipywidgets", "jupyterlab_server"}


def commands(command, path=("resnet-lessons",)):
    """Yield every command with the words that call it."""
    yield path, command
    for name, inner in getattr(command, "commands", {}).items():
        yield from commands(inner, (*path, name))


ALL = list(commands(main))
IDS = [" ".join(path) for path, _ in ALL]


def parse(words):
    """Parse a call as the program would, without running it."""
    command, context = main, None
    assert words[0] == "resnet-lessons"
    context = command.make_context(words[0], list(words[1:]))
    while isinstance(command, click.Group):
        name, command, rest = command.resolve_command(context, [*context._protected_args, *context.args])
        context = command.make_context(name, rest, parent=context)


# Help, version, start


def test_all_commands_are_here():
    names = (
        "doctor",
        "models",
        "data status",
        "data fetch",
        "train",
        "resume",
        "reproduce",
        "results",
        "sweep",
        "bench",
    )
    assert set(IDS) >= {"resnet-lessons", *(f"resnet-lessons {name}" for name in names)}


@pytest.mark.parametrize(("path", "command"), ALL, ids=IDS)
def test_every_command_has_help_with_an_example_that_parses(path, command):
    for flag in ("--help", "-h"):
        shown = run(*path[1:], flag)
        assert shown.exit_code == 0
        assert max(map(len, shown.output.splitlines())) <= WIDTH
    assert command.help
    examples = shown.output.partition("Example:")[2].strip().splitlines()
    assert examples
    for line in examples:
        assert line.strip().startswith(" ".join(path))
        parse(shlex.split(line))


def test_an_example_that_does_not_parse_is_found():
    with pytest.raises(click.UsageError):
        parse(["resnet-lessons", "data", "fetch", "imagenet"])


def test_version():
    assert run("--version").output == f"resnet-lessons {__version__}\n"


def test_without_arguments_help_is_shown_and_the_call_counts_as_wrong():
    shown = run()
    assert (shown.exit_code, shown.stdout) == (2, "")
    assert "Commands:" in shown.stderr


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["data", "status"], ["data", "fetch", "--help"], ["results"], ["train", "--help"]],
    ids=str,
)
def test_what_needs_no_keras_does_not_load_it(arguments):
    code = START.replace("main()", f"main({arguments!r}, standalone_mode=False)")
    code += "\nprint(*{name.partition('.')[0] for name in sys.modules}, file=sys.stderr)"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not set(ended.stderr.split()) & SLOW_TO_LOAD
    assert "click" in ended.stderr.split()


def test_the_command_is_installed():
    program = Path(sys.executable).with_name("resnet-lessons")
    ended = subprocess.run([program, "--version"], capture_output=True, text=True, check=True)
    assert ended.stdout == f"resnet-lessons {__version__}\n"


# Errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nonsense"], "No such command 'nonsense'. Try: resnet-lessons --help"),
        (["--nonsense"], "No such option '--nonsense'"),
        (
            ["data", "fetch", "imagenet"],
            "'imagenet' is not one of 'cifar10', 'mnist'. Try: resnet-lessons data fetch --help",
        ),
        (["data", "fetch", "--timeout", "0"], "0.0 is not in the range x>0"),
        (["doctor", "extra"], "Got unexpected extra argument (extra)"),
        (["bench", "--rounds", "0"], "0 is not in the range x>=1. Try: resnet-lessons bench --help"),
        (["bench", "--contenders", "ours,jax"], "'ours,jax' is not one or more of keras-32, keras-128, ours,"),
        (["bench", "--contenders", "ours,ours"], "each named once"),
    ],
    ids=str,
)
def test_a_wrong_call_is_one_line_and_exit_code_2(arguments, said):
    shown = run(*arguments)
    assert (shown.exit_code, shown.stdout, shown.stderr.count("\n")) == (2, "", 1)
    assert shown.stderr.startswith("error: ")
    assert said in shown.stderr


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (data.DataError("cifar10.npz is\n  cut short."), "error: cifar10.npz is cut short.\n"),
        (PermissionError(13, "Permission denied", "/x"), "error: [Errno 13] Permission denied: '/x'\n"),
        (ImportError("No Keras."), "error: No Keras. To see what is wrong, run: resnet-lessons doctor\n"),
        (KeyError("y"), "error: KeyError: 'y'. Run it again with --debug to see where.\n"),
        (ValueError(), "error: ValueError: . Run it again with --debug to see where.\n"),
        (ValueError("5 into 3"), "error: ValueError: 5 into 3. Run it again with --debug to see where.\n"),
        (OSError("no HDF5"), "error: OSError: no HDF5. Run it again with --debug to see where.\n"),
    ],
    ids=repr,
)
def test_an_error_is_one_line_and_exit_code_1(monkeypatch, error, said):
    def fail():
        raise error

    monkeypatch.setattr(data, "status", fail)
    shown = run("data", "status")
    assert (shown.exit_code, shown.stdout, shown.stderr) == (1, "", said)
    for arguments in (["--debug", "data", "status"], ["data", "--debug", "status"], ["data", "status", "--debug"]):
        assert run(*arguments).exception is error


def test_what_the_package_raises_for_users_is_bare(monkeypatch):
    monkeypatch.setattr(data, "status", lambda: recipes.recipe.whole("size", -1, 0))
    assert run("data", "status").stderr == "error: size must be a whole number of at least 0. Received: -1.\n"


def test_what_goes_wrong_within_the_package_is_named_by_its_type(monkeypatch, tmp_path):
    """A ValueError of Python's own in the package's code, as a fault of it would raise one."""
    (tmp_path / "groups").write_text("no colons")
    monkeypatch.setattr(data, "status", lambda: machine.core_quota(membership=tmp_path / "groups"))
    said = (
        "error: ValueError: not enough values to unpack (expected 3, got 1). Run it again with --debug to see where.\n"
    )
    assert run("data", "status").stderr == said


def test_a_traceback_is_shown_with_debug_alone(tmp_path):
    (tmp_path / "file").write_text("")
    arguments = ["data", "fetch", "mnist", "--mirror", "nonsense://x"]
    quiet, loud = process(*arguments), process(*arguments, "--debug")
    assert (quiet.communicate()[1].count("\n"), quiet.returncode) == (1, 1)
    shown = loud.communicate()[1]
    assert shown.startswith("Traceback (most recent call last):")
    assert loud.returncode == 1


def test_commands_can_be_called_from_python():
    with pytest.raises(click.UsageError):
        main(["nonsense"], standalone_mode=False)
    assert isinstance(main, Program)


@pytest.mark.skipif(os.name == "nt", reason="a POSIX matter")
def test_ctrl_c_is_quiet(tmp_path):
    (tmp_path / "keras.py").write_text(
        f"import pathlib, time\npathlib.Path({str(tmp_path / 'begun')!r}).touch()\ntime.sleep(60)"
    )
    child = process("doctor", env=os.environ | {"PYTHONPATH": str(tmp_path)}, start_new_session=True)
    deadline = time.monotonic() + 60
    while not (tmp_path / "begun").exists():
        assert child.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(child.pid, signal.SIGINT)  # as a terminal does: to the program and to its children
    assert child.communicate(timeout=30) == ("", "")
    assert child.returncode == 130


@pytest.mark.skipif(os.name == "nt", reason="a POSIX matter")
def test_a_reader_that_leaves_is_no_error():
    child = process("data", "status")
    child.stdout.close()
    assert child.stderr.read() == ""
    assert child.wait(timeout=30) == 141
    child.stderr.close()


# data


def test_data_status_lists_what_is_missing_and_the_command():
    shown = run("data", "status")
    assert shown.exit_code == 0
    assert "resnet-lessons data fetch cifar10" in shown.output


def test_data_status_fits_but_for_paths_and_names_what_is_damaged(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    path = deep / "cifar10.npz"
    deep.mkdir(parents=True)
    path.write_bytes(b"not a zip file")
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(deep))
    shown = run("data", "status")
    assert shown.exit_code == 1
    lines = [line.strip() for line in shown.output.splitlines()]
    assert str(path) in lines
    assert f"to mend it: remove {path}, then run: resnet-lessons data fetch cifar10" in lines
    assert max(len(line) for line in lines if str(deep) not in line and set(line) != set("- ")) <= WIDTH
    rows = json.loads(run("data", "status", "--json").output)
    assert [row["where"] for row in rows if row["problem"]] == [str(path)]


def test_data_fetch_passes_on_what_it_is_told_and_prints_the_path(tmp_path, monkeypatch):
    calls = []
    monkeypatch.setattr(data, "fetch", lambda name, **options: calls.append((name, options)) or tmp_path / "x.npz")
    shown = run("data", "fetch", "mnist", "--mirror", "http://m", "--folder", str(tmp_path), "--timeout", "3")
    assert shown.stdout == f"{tmp_path / 'x.npz'}\n"
    assert f"RESNET_LESSONS_DATA={tmp_path}" in shown.stderr
    assert run("data", "fetch").stderr == ""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "fetch", lambda _, folder, **__: folder / "x.npz")
    assert f"RESNET_LESSONS_DATA={tmp_path / 'here'}" in run("data", "fetch", "--folder", "here").stderr
    first, second = calls
    assert first == ("mnist", {"mirror": "http://m", "folder": tmp_path, "timeout": 3.0, "progress": False})
    assert second == ("cifar10", {"mirror": None, "folder": None, "timeout": 60.0, "progress": False})


def test_data_fetch_into_a_file_is_an_error(tmp_path):
    (tmp_path / "file").write_text("")
    shown = run("data", "fetch", "mnist", "--folder", str(tmp_path / "file"))
    assert shown.exit_code == 2
    assert "is a file" in shown.stderr


# models


@pytest.fixture(scope="module")
def models_lines():
    shown = run("models")
    assert shown.exit_code == 0
    return shown.output.splitlines()


def row(lines, *words):
    [line] = [line for line in lines if line.split()[: len(words)] == list(words)]
    return line.split()


def test_models_fit_the_width(models_lines):
    assert max(map(len, models_lines)) <= WIDTH


def test_models_give_the_papers_networks(models_lines):
    assert row(models_lines, "v1", "20")[2:7] == ["3", "basic", "269,722", "40.6M", "8.75"]
    assert row(models_lines, "v1", "110")[6:11] == ["6.61", "+/-", "0.16", "93.39", "He"]
    assert row(models_lines, "v1", "1202")[2:5] == ["200", "basic", "19,421,274"]
    assert row(models_lines, "v2", "164")[2:8] == ["18", "bottleneck", "1,703,258", "244.5M", "5.46", "94.54"]
    assert row(models_lines, "v2", "110", "12") == ["v2", "110", "12", "bottleneck", "1,146,842", "164.3M"]
    assert {line.split()[1] for line in models_lines if line.startswith("v1 ")} == {
        *("20", "32", "44", "56", "110", "164", "1001", "1202")
    }


def test_models_say_which_network_a_quoted_number_belongs_to(models_lines):
    assert row(models_lines, "ResNet164", "v1")[2:] == [
        *("27", "basic", "2,611,626", "380.6M", "94.07", "v1-164-bottleneck", "1,704,154")
    ]
    assert row(models_lines, "ResNet110", "v2")[6:] == ["93.15", "93.63", "v2-110-basic", "1,727,962"]
    assert row(models_lines, "ResNet164", "v2")[4:] == ["4,941,546", "573.8M", "94.54", "v2-164", "1,703,258"]
    assert row(models_lines, "ResNet20", "v2")[4:] == ["570,602", "66.2M"]


# bench


def test_bench_passes_on_what_it_is_told_and_prints_the_table(monkeypatch):
    calls = []
    monkeypatch.setattr(bench, "run", lambda *names, **options: calls.append((names, options)) or "a report")
    monkeypatch.setattr(bench, "table", lambda report: f"the table of {report}")
    shown = run("bench", "--rounds", "3", "--updates", "4", "--contenders", "ours, keras-32")
    assert (shown.exit_code, shown.stdout) == (0, "the table of a report\n")
    run("bench")
    (first, options), (second, usual) = calls
    assert first == (("ours", "keras-32"),)
    assert second == (tuple(bench.NETWORKS),)
    assert (options["rounds"], options["updates"]) == (3, 4)
    assert (usual["rounds"], usual["updates"]) == (10, 20)
    options["progress"]("begins")  # what it says goes to stderr, so that the table alone can be kept


# doctor


def test_doctor_finds_no_problem_here():
    shown = run("doctor")
    assert "No problem found." in shown.output
    assert shown.exit_code == 0
    for topic in ("Python", "TensorFlow", "Keras", "processor", "instructions", "memory", "disk", "widgets", "kernel"):
        assert topic in shown.output
    assert "data fetch cifar10" in shown.output
    assert max(len(line) for line in shown.output.splitlines() if "python" not in line) <= WIDTH


def test_doctor_names_problems_with_their_remedies(monkeypatch, tmp_path):
    (tmp_path / "keras.py").write_text("import no_such_library")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("RESNET_LESSONS_MODE", "slow")
    shown = run("doctor")
    assert shown.exit_code == 1
    assert "2 problems found." in shown.output
    assert "unset RESNET_LESSONS_MODE" in shown.output.partition("To mend:")[2]
    findings = {finding["topic"]: finding for finding in json.loads(run("doctor", "--json").stdout)}
    assert {topic for topic, f in findings.items() if f["status"] == "problem"} == {"backend", "lesson mode"}
    assert "no_such_library" in findings["backend"]["value"]


def test_a_long_finding_is_wrapped_and_a_remedy_is_not(monkeypatch):
    long = " ".join(["word"] * 60)
    monkeypatch.setattr(doctor, "examine", lambda: [Finding("topic", long, "problem", f"mend {long}")])
    shown = run("doctor")
    table, mend = shown.output.split("To mend:")
    assert max(map(len, table.splitlines())) <= WIDTH
    assert f"    mend {long}\n" in mend
    assert "1 problem found." in mend
