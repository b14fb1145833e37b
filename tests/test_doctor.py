"""Every check of the doctor, with a sound input and with a broken one."""

import importlib.metadata
import json
import os
import platform
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path
from types import SimpleNamespace

from resnet_lessons import backend, data, doctor
from resnet_lessons import machine as limits
from resnet_lessons.doctor import machine, probe, software
from resnet_lessons.doctor.finding import Finding, join, pip_install, set_variable, unset_variable
from resnet_lessons.doctor.probe import Probe

import numpy as np
import pytest
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet

TENSORFLOW = importlib.metadata.version("tensorflow")
SEEN = Probe("tensorflow", {"tensorflow": TENSORFLOW}, (("CPU", "CPU:0"),), ("avx2",), "float32")
ON_JAX = Probe("jax", {"keras": "3.15.1", "jax": "0.9"}, (("CPU", "cpu"),), (), "float32")
BROKEN = Probe(error="ImportError: libtensorflow_cc.so.2: cannot open shared object file")


PYPROJECT = tomllib.loads((Path(__file__).resolve().parents[1] / "pyproject.toml").read_text(encoding="utf-8"))[
    "project"
]
EXTRAS = PYPROJECT["optional-dependencies"]
NEEDED = {r.name: r for r in map(Requirement, PYPROJECT["dependencies"] + EXTRAS["lab"])}
WITH_CUDA = str(Requirement(EXTRAS["gpu"][0]))


def pip_needed(*names):
    return pip_install(*(str(NEEDED[name]) for name in names))


def only(findings):
    [finding] = findings
    return finding


# Python and packages


def test_this_python_is_in_range():
    finding = only(software.check_python())
    assert finding.status == "ok"
    assert platform.python_version() in finding.value


@pytest.mark.parametrize("version", ["3.10.14", "3.14.0", "2.7.18"])
def test_another_python_is_a_problem(version):
    finding = only(software.check_python(version))
    assert (finding.status, finding.value) == (
        "problem",
        f"{version}, allowed: {SpecifierSet(PYPROJECT['requires-python'])}",
    )
    assert "3.12" in finding.remedy


@pytest.mark.parametrize(
    ("version", "status"),
    [("3.15.0", "ok"), ("3.15.9", "ok"), ("3.14.9", "problem"), ("3.16.0", "problem"), (None, "problem")],
)
def test_a_version_is_held_to_its_range(version, status):
    finding = software.check_version(Requirement("keras>=3.15,<3.16"), version)
    assert (finding.topic, finding.status) == ("Keras", status)
    assert finding.remedy == ("" if status == "ok" else f"{sys.executable} -m pip install 'keras<3.16,>=3.15'")


def test_the_installed_packages_are_in_range():
    findings = software.check_packages(SEEN)
    assert {finding.status for finding in findings} == {"ok"}
    assert [finding.topic for finding in findings] == ["TensorFlow", "Keras", "other packages"]


def test_each_missing_or_old_package_is_named(monkeypatch):
    real = software.installed
    monkeypatch.setattr(software, "installed", lambda name: {"numpy": None, "click": "8.0"}.get(name, real(name)))
    bad = {f.topic: f for f in software.check_packages(SEEN) if f.status != "ok"}
    assert {topic: f.value for topic, f in bad.items()} == {
        "numpy": f"not installed, needed: {NEEDED['numpy']}",
        "click": f"8.0, needed: {NEEDED['click'].specifier}",
    }
    assert bad["numpy"].remedy == pip_needed("numpy")


def test_tensorflow_may_be_missing_on_jax_alone(monkeypatch):
    real = software.installed
    monkeypatch.setattr(software, "installed", lambda name: None if name == "tensorflow" else real(name))
    assert software.check_packages(ON_JAX)[0].status == "note"
    assert software.check_packages(SEEN)[0] == Finding("TensorFlow", TENSORFLOW)  # loaded: under another name
    assert software.check_packages(BROKEN)[0].status == "problem"


def test_requirements_of_an_extra_are_those_it_adds():
    assert [r.name for r in software.requirements("lab")] == ["jupyterlab", "ipykernel"]
    assert [str(r) for r in software.requirements("gpu")] == [WITH_CUDA]
    assert "jupyterlab" not in [r.name for r in software.requirements()]


# The backend, in a child process


def python(code):
    return [sys.executable, "-c", code]


def test_a_probe_brings_what_the_child_saw():
    answer = {"backend": "jax", "versions": {"jax": "1"}, "devices": [["GPU", "H"]], "flags": ["a"], "precision": "x"}
    seen = probe.run(python(f"import json; print('noise'); print(json.dumps({answer!r}))"))
    assert (seen.backend, seen.devices, seen.error) == ("jax", [["GPU", "H"]], "")


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("import no_such_module", "ModuleNotFoundError: No module named 'no_such_module'"),
        ("raise SystemExit(3)", "ends with exit code 3 when loaded"),
        pytest.param(
            "import os, signal; os.kill(os.getpid(), signal.SIGILL)",
            "crashes when loaded (SIGILL)",
            marks=pytest.mark.skipif(os.name == "nt", reason="a POSIX matter"),
        ),
        ("import time; time.sleep(60)", "not loaded after 0.5 s"),
        ("pass", "loads, but answers nothing when asked what it sees"),
        ("print('All is well.')", "loads, but answers 'All is well.' when asked what it sees"),
        ("print('[1, 2]')", "loads, but answers '[1, 2]' when asked what it sees"),
    ],
)
def test_a_child_that_fails_crashes_or_hangs_is_an_error(code, error):
    seen = probe.run(python(code), timeout=0.5 if "sleep" in code else 60)
    assert seen == Probe(error=error)


def test_a_child_that_cannot_be_started_is_an_error(tmp_path):
    assert "can be started" in probe.run([tmp_path / "no-python"]).error


def test_a_broken_keras_is_found(tmp_path, monkeypatch):
    (tmp_path / "keras.py").write_text("raise ImportError('libcudart.so.12: no such file')")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    finding = only(software.check_backend(probe.run()))
    assert finding.status == "problem"
    assert finding.value.startswith("ImportError: ")
    assert "libcudart.so.12: no such file" in finding.value
    wanted = [str(NEEDED["tensorflow"]), str(NEEDED["keras"])]
    assert finding.remedy.endswith(join(["--force-reinstall", *wanted]))


def test_another_backend_in_keras_own_settings_is_found(tmp_path, monkeypatch):
    settings = {"floatx": "float32", "epsilon": 1e-7, "backend": "nonsense", "image_data_format": "channels_last"}
    (tmp_path / "keras.json").write_text(json.dumps(settings))
    monkeypatch.setenv("KERAS_HOME", str(tmp_path))
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    finding = only(software.check_backend(probe.run()))
    assert (finding.status, finding.remedy) == ("problem", set_variable("KERAS_BACKEND", "tensorflow"))
    assert "nonsense" in finding.value


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        ("ModuleNotFoundError: No module named 'tensorflow'", pip_needed("tensorflow")),
        ("ModuleNotFoundError: No module named 'keras.src'", pip_needed("keras")),
        ("ModuleNotFoundError: No module named 'jax'", pip_install("jax")),
        ("ModuleNotFoundError: No module named 'torch'", set_variable("KERAS_BACKEND", "tensorflow")),
        ("ImportError: ... (Unable to import backend : nix)...", set_variable("KERAS_BACKEND", "tensorflow")),
        ("ImportError: ... Received: 'torch'. Set ...", set_variable("KERAS_BACKEND", "tensorflow")),
    ],
)
def test_a_backend_that_does_not_load_has_a_remedy(error, remedy):
    assert software.check_backend(Probe(error=error)) == [Finding("backend", error, "problem", remedy)]


def test_a_backend_that_loads_is_named():
    assert software.check_backend(SEEN) == [Finding("backend", f"tensorflow {TENSORFLOW}")]


@pytest.mark.parametrize(
    ("value", "status"), [("jax", "ok"), ("", "ok"), (None, "ok"), ("torch", "problem"), ("x", "problem")]
)
def test_keras_backend_is_checked(value, status, monkeypatch):
    if value is None:
        monkeypatch.delenv("KERAS_BACKEND", raising=False)
    else:
        monkeypatch.setenv("KERAS_BACKEND", value)
    finding = only(software.check_keras_backend())
    assert (finding.status, finding.remedy) == (status, "" if status == "ok" else unset_variable("KERAS_BACKEND"))


def test_an_unsupported_keras_backend_does_not_reach_the_child(monkeypatch):
    code = "import os, sys; sys.exit(os.environ.get('KERAS_BACKEND', 'unset'))"  # to stderr, with exit code 1
    monkeypatch.setenv("KERAS_BACKEND", "torch")
    assert probe.run(python(code)).error == "unset"
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert probe.run(python(code)).error == "jax"


# The machine


def test_instructions_and_what_follows_for_training():
    sapphire = Probe("tensorflow", flags=("avx2", "avx512_bf16", "amx_tile"), precision="mixed_bfloat16")
    assert only(machine.check_instructions(sapphire)).value == "avx2, avx512_bf16, amx_tile; training runs in bfloat16"
    assert only(machine.check_instructions(SEEN)).value == "avx2; training runs in float32"
    assert only(machine.check_instructions(ON_JAX)).value == "unknown on this system; training runs in float32"
    assert "none of avx2" in only(machine.check_instructions(Probe("jax", flags=("sse",), precision="float32"))).value
    assert only(machine.check_instructions(BROKEN)).status == "note"


def test_processor_flags_are_read_as_each_system_spells_them():
    linux = "processor : 0\nmodel name : X\nflags\t\t: fpu avx2 avx512_bf16 amx_tile\nprocessor : 1\nflags : other\n"
    assert backend.hardware._flags_of_cpuinfo(linux) == {"fpu", "avx2", "avx512_bf16", "amx_tile"}
    assert backend.hardware._flags_of_cpuinfo("processor : 0\nFeatures : fp asimd bf16 i8mm\n") == {
        "fp",
        "asimd",
        "bf16",
        "i8mm",
    }
    assert backend.hardware._flags_of_cpuinfo("") == frozenset()
    mac = "hw.optional.arm.FEAT_BF16: 1\nhw.optional.arm.FEAT_SME: 0\nmachdep.cpu.leaf7_features: AVX2 BMI1\n"
    assert backend.hardware._flags_of_sysctl(mac) == {"bf16", "avx2", "bmi1"}
    assert backend.hardware._flags_of_sysctl("sysctl: unknown oid") == frozenset()


@pytest.mark.skipif(platform.system() != "Linux", reason="reads /proc/cpuinfo")
def test_processor_flags_of_this_machine():
    line = subprocess.run(["grep", "-m1", "-E", "^(flags|Features)", "/proc/cpuinfo"], capture_output=True, text=True)
    assert backend.processor_flags() == frozenset(line.stdout.partition(":")[2].split())


def test_the_processor_is_named_with_cores():
    value = only(machine.check_processor()).value
    assert 1 <= limits.usable_cores() <= os.cpu_count()
    assert (
        value == f"{limits.processor_name()}, {limits.usable_cores():g} core{'s'[: limits.usable_cores() != 1]} usable"
    )
    assert limits.processor_name()


@pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="sets an affinity")
def test_cores_within_an_affinity():
    code = "import os; os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})\n"
    code += "from resnet_lessons import machine; print(machine.usable_cores())"
    assert float(subprocess.run(python(code), capture_output=True, text=True, check=True).stdout) <= 1


def control_group(root, membership, files):
    (root / "membership").write_text(membership)
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root, root / "membership"


@pytest.mark.parametrize(
    ("membership", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000\n", "a/b/cpu.max": "max 100000\n"}, 3),
        ("0::/a/b\n", {"cpu.max": "100000 100000\n", "a/b/cpu.max": "200000 100000\n"}, 1),
        (
            "3:cpu,cpuacct:/x\n",
            {"cpu,cpuacct/cpu.cfs_quota_us": "50000", "cpu,cpuacct/cpu.cfs_period_us": "100000"},
            0.5,
        ),
        ("3:cpu:/x\n", {"cpu/x/cpu.cfs_quota_us": "-1", "cpu/x/cpu.cfs_period_us": "100000"}, float("inf")),
        ("3:memory:/x\n", {"cpu/x/cpu.cfs_quota_us": "1", "cpu/x/cpu.cfs_period_us": "1"}, float("inf")),
        ("", {}, float("inf")),
    ],
)
def test_a_containers_cores(tmp_path, membership, files, cores):
    assert limits.core_quota(*control_group(tmp_path, membership, files)) == cores


@pytest.mark.parametrize(
    ("membership", "files", "limit"),
    [
        ("0::/a\n", {"a/memory.max": "1000000\n", "memory.max": "max\n"}, 10**6),
        ("4:memory:/a\n", {"memory/a/memory.limit_in_bytes": "5000\n"}, 5000),
        ("0::/a\n", {}, float("inf")),
    ],
)
def test_a_containers_memory(tmp_path, membership, files, limit):
    assert limits.memory_limit(*control_group(tmp_path, membership, files)) == limit


def test_memory_is_judged():
    assert only(machine.check_memory()).status in ("ok", "note")
    assert machine.memory_finding(16e9, 9e9) == Finding("memory", "16.0 GB, 9.0 GB of it free")
    assert machine.memory_finding(16e9, 0.4e9).status == "note"
    assert machine.memory_finding(64e9, 50e9, limit=1e9).value.startswith("1.0 GB, 1.0 GB of it free: ")


def test_a_gpu_is_named_and_an_idle_one_is_told(monkeypatch):
    monkeypatch.setattr(machine, "idle_gpu", lambda: "")
    assert only(machine.check_gpu(SEEN)).status == "ok"
    seen = Probe("tensorflow", devices=[["CPU", "CPU:0"], ["GPU", "NVIDIA H200"]])
    assert machine.check_gpu(seen) == [Finding("GPU", "NVIDIA H200")]
    monkeypatch.setattr(machine, "idle_gpu", lambda: "GPU 0: NVIDIA T4")
    idle = only(machine.check_gpu(SEEN))
    assert (idle.status, idle.remedy) == ("note", pip_install(WITH_CUDA))
    assert "jax[cuda12]" in only(machine.check_gpu(ON_JAX)).remedy
    assert only(machine.check_gpu(BROKEN)).status == "note"


@pytest.mark.skipif(os.name == "nt", reason="makes a shell script")
@pytest.mark.parametrize(
    ("script", "name"),
    [("echo 'GPU 0: NVIDIA T4 (UUID: GPU-1)'", "GPU 0: NVIDIA T4"), ("echo no driver; exit 9", ""), (None, "")],
)
def test_the_driver_is_asked_for_gpus(monkeypatch, tmp_path, script, name):
    if script:
        (tmp_path / "nvidia-smi").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvidia-smi").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert machine.idle_gpu() == name


def test_disk_room_is_judged(tmp_path, monkeypatch):
    assert machine.disk_finding(tmp_path, 5e9).status == "ok"
    tight = machine.disk_finding(tmp_path, 0.3e9)
    assert (tight.status, "0.3 GB free" in tight.value) == ("problem", True)
    assert tight.remedy.startswith(set_variable("RESNET_LESSONS_CACHE", "FOLDER"))
    assert machine.disk_finding(tmp_path, 5e9, writable=False).status == "note"
    monkeypatch.setenv("RESNET_LESSONS_CACHE", str(tmp_path / "not" / "yet"))
    assert str(tmp_path / "not" / "yet") in only(machine.check_disk()).value
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("RESNET_LESSONS_CACHE", str(tmp_path / "file" / "cache"))
    assert only(machine.check_disk()).status == "problem"


# The course's own data and settings


def test_missing_data_are_a_note_with_the_command():
    notes = {finding.topic: finding for finding in doctor.check_data()}
    assert notes["cifar10"].status == "note"
    assert notes["cifar10"].remedy == "resnet-lessons data fetch cifar10"
    assert notes["shapes10"].status == "ok"


def test_damaged_data_are_a_problem_with_the_command(tmp_path, monkeypatch):
    np.savez(tmp_path / "cifar10.npz", x_train=np.zeros(3))
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(tmp_path))
    [finding] = [finding for finding in doctor.check_data() if finding.topic == "cifar10"]
    assert finding.status == "problem"
    assert "cifar10.npz" in finding.value
    assert "resnet-lessons data fetch cifar10" in finding.remedy


def test_a_note_that_is_no_text_is_a_problem_that_leaves_the_data_alone(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(tmp_path))
    np.savez(tmp_path / "cifar10.npz", **dict.fromkeys(("x_train", "y_train", "x_test", "y_test"), np.zeros(3)))
    (tmp_path / "cifar10.source.txt").write_bytes(b"\xe4")
    [finding] = [finding for finding in doctor.check_data() if finding.topic == "cifar10"]
    assert finding.status == "problem"
    assert "cifar10.source.txt: cannot be read as text" in finding.value
    assert finding.remedy == f"mend or remove {tmp_path / 'cifar10.source.txt'}"


def test_data_at_hand_are_named_with_their_place():
    row = data.Row("cifar10", "/data/cifar10.npz", "CIFAR-10, original", 184_000_000)
    assert doctor.data_finding(row) == Finding("cifar10", "CIFAR-10, original\n/data/cifar10.npz")


def test_a_data_variable_that_names_no_folder_is_one_problem(tmp_path, monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_DATA", str(tmp_path / "nowhere"))
    finding = only(doctor.check_data())
    assert (finding.topic, finding.status) == ("RESNET_LESSONS_DATA", "problem")
    assert finding.remedy == unset_variable("RESNET_LESSONS_DATA")
    assert machine.check_disk() == []


@pytest.mark.parametrize(("mode", "status"), [("smoke", "ok"), ("fast", "ok"), ("full", "ok"), ("slow", "problem")])
def test_the_lesson_mode_is_checked(mode, status, monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_MODE", mode)
    finding = only(doctor.check_mode())
    assert (finding.status, finding.remedy) == (status, "" if status == "ok" else unset_variable("RESNET_LESSONS_MODE"))
    assert mode in finding.value


# JupyterLab


def test_jupyterlab_is_held_to_its_range(monkeypatch):
    assert {finding.status for finding in software.check_lab()} == {"ok"}
    monkeypatch.setattr(software, "installed", {"jupyterlab": "3.6.0"}.get)
    lab, ipykernel = software.check_lab()
    assert (lab.value, lab.remedy) == (f"3.6.0, needed: {NEEDED['jupyterlab'].specifier}", pip_needed("jupyterlab"))
    assert ipykernel.value == f"not installed, needed: {NEEDED['ipykernel']}"


@pytest.fixture
def jupyter_home(tmp_path, monkeypatch):
    """Empty folders in the place of the user's own Jupyter settings and data."""
    for name in ("CONFIG", "DATA"):
        (tmp_path / name).mkdir()
        monkeypatch.setenv(f"JUPYTER_{name}_DIR", str(tmp_path / name))
    return tmp_path


@pytest.mark.usefixtures("jupyter_home")
def test_the_widget_extension_is_found():
    assert only(software.check_widgets()).status == "ok"


@pytest.mark.usefixtures("jupyter_home")
def test_a_missing_widget_extension_is_a_problem(monkeypatch, tmp_path):
    monkeypatch.setattr("jupyter_core.paths.jupyter_path", lambda *parts: [str(tmp_path.joinpath(*parts))])
    finding = only(software.check_widgets())
    assert finding.status == "problem"
    assert finding.remedy == pip_install("--force-reinstall", "--no-deps", "jupyterlab_widgets")


@pytest.mark.skipif(os.name == "nt", reason="a POSIX matter")
def test_a_disabled_widget_extension_is_a_problem_that_the_remedy_mends(jupyter_home):
    (jupyter_home / "CONFIG" / "labconfig").mkdir()
    config = jupyter_home / "CONFIG" / "labconfig" / "page_config.json"
    config.write_text(json.dumps({"disabledExtensions": {software.WIDGETS: True}}))
    finding = only(software.check_widgets())
    assert finding.status == "problem"
    subprocess.run(shlex.split(finding.remedy), check=True, capture_output=True)
    assert only(software.check_widgets()).status == "ok"


def test_without_jupyterlab_nothing_is_said_of_its_parts(monkeypatch):
    monkeypatch.setattr(software, "installed", lambda _name: None)
    assert software.check_widgets() == software.check_kernel() == []


@pytest.mark.usefixtures("jupyter_home")
def test_the_kernel_runs_this_python():
    assert only(software.check_kernel()).status == "ok"


def test_a_kernel_of_another_python_is_a_problem(jupyter_home, monkeypatch):
    folder = jupyter_home / "other" / "kernels" / "python3"
    folder.mkdir(parents=True)
    argv = ["/opt/removed/bin/python", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (folder / "kernel.json").write_text(json.dumps({"argv": argv, "display_name": "P", "language": "python"}))
    monkeypatch.setenv("JUPYTER_PATH", str(jupyter_home / "other"))
    finding = only(software.check_kernel())
    assert finding.status == "problem"
    assert str(folder) in finding.value
    assert finding.remedy == join([sys.executable, "-m", "jupyter", "kernelspec", "remove", "python3"])


@pytest.mark.parametrize(
    ("program", "status"),
    [
        ("python", "ok"),
        (f"python{sys.version_info[0]}.{sys.version_info[1]}", "ok"),
        (sys.executable, "ok"),
        (str(Path(sys.executable).with_name("python3")), "ok"),
        ("python2", "problem"),
        ("/elsewhere/bin/python3", "problem"),
    ],
)
def test_a_kernel_is_judged_by_the_program_it_starts(program, status):
    assert software.kernel_finding(program, "folder").status == status


# All together


def test_a_check_that_fails_is_a_problem_and_stops_no_other(monkeypatch):
    monkeypatch.setattr(probe, "run", lambda: SEEN)
    monkeypatch.setitem(sys.modules, "psutil", None)  # importing it now raises ModuleNotFoundError
    findings = {finding.topic: finding for finding in doctor.examine()}
    assert findings["memory"].status == "problem"
    assert findings["memory"].remedy == pip_install("psutil")
    assert findings["lesson mode"].status == "ok"


def test_a_package_that_is_not_installed_is_told():
    def check():
        raise importlib.metadata.PackageNotFoundError("resnet-lessons")

    finding = only(doctor.guarded("Python", check))
    assert finding.status == "problem"
    assert "requirements.lock" in finding.remedy


def test_commands_are_quoted_for_the_system(monkeypatch):
    assert shlex.split(join(["pip", "keras<3.16", "a b"])) == ["pip", "keras<3.16", "a b"]
    monkeypatch.setattr("resnet_lessons.doctor.finding.os", SimpleNamespace(name="nt"))
    assert join([r"C:\py\python.exe", "-m", "keras<3.16"]) == r'C:\py\python.exe -m "keras<3.16"'
    assert set_variable("A", "b") == '$Env:A = "b"'
    assert unset_variable("A") == "Remove-Item Env:A"
