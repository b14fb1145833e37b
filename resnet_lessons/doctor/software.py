"""What is installed: Python, packages, Keras's backend, JupyterLab with its widgets, and the notebooks' kernel."""

import importlib.metadata
import os
import platform
import re
import sys
from pathlib import Path

from .finding import PROJECT, Finding, pip_install, python_module, set_variable, unset_variable
from .probe import BACKENDS, supported

NAMES = {"tensorflow": "TensorFlow", "keras": "Keras", "jupyterlab": "JupyterLab"}
WIDGETS = "@jupyter-widgets/jupyterlab-manager"  # JupyterLab's side of ipywidgets


def requirements(extra=""):
    """Return what the package requires on this system, or what an extra adds to it, as a list of Requirement."""
    from packaging.requirements import Requirement

    declared = [Requirement(line) for line in importlib.metadata.requires(PROJECT) or ()]
    always = [r for r in declared if r.marker is None or r.marker.evaluate({"extra": ""})]
    if not extra:
        return always
    chosen = [r for r in declared if r not in always and r.marker.evaluate({"extra": extra})]
    for requirement in chosen:
        requirement.marker = None  # it has served; the rest is what pip takes
    return chosen


def installed(name):
    """Return the version of an installed distribution, or None."""
    try:
        return importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        return None


def within(allowed, version):
    """Tell whether a version, a pre-release too, satisfies a specifier such as ">=3.11,<3.14"."""
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(str(allowed)).contains(version, prereleases=True)


def check_python(version=None):
    """Hold the running Python, or a version given, to the range the package declares."""
    version = version or platform.python_version()
    allowed = importlib.metadata.metadata(PROJECT)["Requires-Python"]
    if within(allowed, version):
        return [Finding("Python", f"{version}\n{sys.executable}")]
    remedy = "py -3.12 -m venv .venv" if os.name == "nt" else "make clean && make lab PYTHON=python3.12"
    return [Finding("Python", f"{version}, allowed: {allowed}", "problem", remedy)]


def check_version(requirement, version):
    """Hold an installed version, None if there is none, to a requirement."""
    topic = NAMES.get(requirement.name, requirement.name)
    if version is None:
        return Finding(topic, f"not installed, needed: {requirement}", "problem", pip_install(str(requirement)))
    if not within(requirement.specifier, version):
        return Finding(topic, f"{version}, needed: {requirement.specifier}", "problem", pip_install(str(requirement)))
    return Finding(topic, version)


def check_packages(seen):
    """Hold every package the lessons need to its range; those in order are counted, TensorFlow and Keras named."""
    findings, others = [], 0
    for requirement in requirements():
        version = installed(requirement.name) or seen.versions.get(requirement.name)  # tensorflow-cpu is tensorflow too
        finding = check_version(requirement, version)
        if requirement.name == "tensorflow" and seen.backend == "jax" and finding.status == "problem":
            finding = Finding("TensorFlow", f"{finding.value}; JAX serves instead", "note", finding.remedy)
        if requirement.name in NAMES or finding.status != "ok":
            findings.append(finding)
        else:
            others += 1
    return [*findings, Finding("other packages", f"{others} as needed")]


def check_backend(seen):
    """Say which backend Keras loads, or why it cannot."""
    if not seen.error:
        return [Finding("backend", f"{seen.backend} {seen.versions[seen.backend]}")]
    return [Finding("backend", seen.error, "problem", _backend_remedy(seen.error))]


def _backend_remedy(error):
    missing = re.search(r"No module named '(\w+)", error)
    wanted = {requirement.name: str(requirement) for requirement in requirements()}
    if missing and missing[1] in wanted:
        return pip_install(wanted[missing[1]])
    if missing and missing[1] in BACKENDS:
        return pip_install(missing[1])
    if missing or "Received: '" in error or "Unable to import backend" in error:  # keras.json names another backend
        return set_variable("KERAS_BACKEND", "tensorflow")
    return pip_install("--force-reinstall", wanted["tensorflow"], wanted["keras"])


def check_keras_backend():
    """Refuse a KERAS_BACKEND that the lessons do not run on."""
    chosen = os.environ.get("KERAS_BACKEND")
    if supported(chosen):
        return [Finding("KERAS_BACKEND", chosen or "not set")]
    value = f"{chosen!r}, allowed: {' or '.join(BACKENDS)}"
    return [Finding("KERAS_BACKEND", value, "problem", unset_variable("KERAS_BACKEND"))]


def check_lab():
    """Hold JupyterLab and the notebooks' kernel to the ranges of the extra "lab"."""
    return [check_version(requirement, installed(requirement.name)) for requirement in requirements("lab")]


def check_widgets():
    """Look whether JupyterLab finds the extension that draws widgets, and has it enabled."""
    if installed("jupyterlab") is None:
        return []  # the check of JupyterLab reports it
    from jupyter_core.paths import jupyter_path
    from jupyterlab_server.config import get_page_config

    page = get_page_config(jupyter_path("labextensions"), str(Path(sys.prefix, "share", "jupyter", "lab", "settings")))
    if WIDGETS not in [extension["name"] for extension in page["federated_extensions"]]:
        remedy = pip_install("--force-reinstall", "--no-deps", "jupyterlab_widgets")
        return [Finding("widgets", f"JupyterLab does not find {WIDGETS}", "problem", remedy)]
    if any(name.partition(":")[0] == WIDGETS for name in page["disabledExtensions"]):
        remedy = python_module("jupyter", "labextension", "enable", f"--level={_level_that_disables()}", WIDGETS)
        return [Finding("widgets", f"{WIDGETS} is disabled", "problem", remedy)]
    return [Finding("widgets", f"jupyterlab_widgets {installed('jupyterlab_widgets')}, enabled")]


def _level_that_disables():
    from jupyterlab_server.config import get_static_page_config

    levels = ("user", "sys_prefix", "system")
    disabled = {level: get_static_page_config(level=level).get("disabledExtensions", {}) for level in levels}
    return next((level for level in levels if disabled[level].get(WIDGETS)), "sys_prefix")


def check_kernel():
    """Look whether the kernel "python3", which the notebooks name, runs this Python."""
    if installed("ipykernel") is None:
        return []  # the check of JupyterLab reports it
    from jupyter_client.kernelspec import KernelSpecManager

    spec = KernelSpecManager().get_kernel_spec("python3")  # ipykernel's own where none is installed
    return [kernel_finding(spec.argv[0], spec.resource_dir)]


def kernel_finding(program, folder):
    """Judge what a kernel starts; Jupyter puts this Python in the place of a bare "python"."""
    version = sys.version_info
    bare = {"python", f"python{version[0]}", f"python{version[0]}.{version[1]}"}
    if program in bare or Path(program).parent == Path(sys.executable).parent:
        return Finding("kernel", f"python3 runs this Python\n{folder}")
    remedy = python_module("jupyter", "kernelspec", "remove", "python3")
    return Finding("kernel", f"python3 runs another Python, {program}\n{folder}", "problem", remedy)
