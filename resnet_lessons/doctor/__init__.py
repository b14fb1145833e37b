"""Look at the machine and the installation, and name the command that mends each problem: ``resnet-lessons doctor``.

Each check is a function of its own that returns a list of findings: ``software`` looks at what is installed,
``machine`` at what it runs on, this module at the course's own data and settings. Lesson 00 sends learners here.
"""

from . import machine, probe, software
from .finding import PROJECT, Finding, pip_install, unset_variable

__all__ = ["Finding", "examine"]


def examine():
    """Run every check.

    Returns:
        A list of ``Finding``. A check that itself fails is a problem in the list and stops no other.
    """
    seen = probe.run()
    checks = {
        "Python": software.check_python,
        "packages": lambda: software.check_packages(seen),
        "backend": lambda: software.check_backend(seen),
        "KERAS_BACKEND": software.check_keras_backend,
        "processor": machine.check_processor,
        "instructions": lambda: machine.check_instructions(seen),
        "GPU": lambda: machine.check_gpu(seen),
        "memory": machine.check_memory,
        "disk": machine.check_disk,
        "data": check_data,
        "lesson mode": check_mode,
        "JupyterLab": software.check_lab,
        "widgets": software.check_widgets,
        "kernel": software.check_kernel,
    }
    return [finding for topic, check in checks.items() for finding in guarded(topic, check)]


def guarded(topic, check):
    """Return the findings of ``check``; what it raises, such as an ImportError, becomes a problem."""
    try:
        return check()
    except Exception as error:  # whatever is broken here is what the user wants to know
        return [Finding(topic, f"{type(error).__name__}: {error}", "problem", _reinstall(error))]


def _reinstall(error):
    missing = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and missing not in ("", PROJECT):
        return pip_install(missing)
    return pip_install("-c", "requirements.lock", "-e", ".[dev]") + "   (in the project's folder)"


def check_data():
    """List the data sets at hand; a lack of them is no problem, a damaged one is."""
    from resnet_lessons import data

    return [data_finding(row) for row in data.status()]


def data_finding(row):
    """Turn a row of ``data.status`` into a finding."""
    if row.problem:
        remedy = row.mend if row.dataset else unset_variable("RESNET_LESSONS_DATA")
        return Finding(row.dataset or "RESNET_LESSONS_DATA", row.problem, "problem", remedy)
    if row.where:
        return Finding(row.dataset, f"{row.source}\n{row.where}")
    return Finding(row.dataset, row.source, "note" if row.mend else "ok", row.mend)


def check_mode():
    """Refuse a RESNET_LESSONS_MODE that no lesson knows."""
    from resnet_lessons import recipes

    try:
        return [Finding("lesson mode", recipes.mode())]
    except ValueError as error:
        return [Finding("lesson mode", str(error), "problem", unset_variable("RESNET_LESSONS_MODE"))]
