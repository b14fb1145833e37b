"""One list of versions: pyproject.toml, requirements.lock, environment.yml and the CI workflow say the same.

Each check takes the text of the files and returns complaints; each has negative controls, broken texts it must reject.
"""

import importlib.metadata
import re
import sys
import tomllib
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import InvalidRequirement, Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import Version
from test_imports import PACKAGE, imported, modules

ROOT = Path(__file__).resolve().parents[1]
NAME = "resnet-lessons"
LOCKED_EXTRAS = ("lab", "app", "sweep", "dev")  # gpu adds NVIDIA's libraries, which depend on the driver
PYTHONS = tuple(f"3.{minor}" for minor in range(8, 20))
# Imported where it is installed, and nowhere else: the requirement of an extra that brings it, None where none does.
OPTIONAL = {
    "ray": "ray",
    "jupyter_client": "jupyterlab",
    "jupyter_core": "jupyterlab",
    "jupyterlab_server": "jupyterlab",
    "jax": None,  # the other backend, which a learner installs
    "torch": None,  # only measured against
}
ADDRESS = re.compile(r"https?:|file:|://|--(?:extra-)?index|--find-links|@|(?<![\w.])[./\\]*[/\\]\w", re.IGNORECASE)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def project(pyproject):
    """The [project] table of a pyproject.toml's text."""
    return tomllib.loads(pyproject)["project"]


def supported(pyproject):
    """The Python versions that requires-python admits, such as ("3.11", "3.12", "3.13")."""
    allowed = SpecifierSet(project(pyproject)["requires-python"])
    return tuple(version for version in PYTHONS if version in allowed)


def declared(pyproject, extras=LOCKED_EXTRAS):
    """Every requirement of the project and of these extras, other than those on the project itself."""
    table = project(pyproject)
    lines = table["dependencies"] + [line for extra in extras for line in table["optional-dependencies"][extra]]
    return [requirement for line in lines if canonicalize_name((requirement := Requirement(line)).name) != NAME]


def pins(lock, python=None):
    """The versions a lock gives on this platform: a dict of name to version.

    Args:
        lock: the text of a lock.
        python: the Python version to evaluate markers for, such as "3.12"; this interpreter's when None.

    Returns:
        A dict of canonical name to Version.
    """
    environment = dict(default_environment())
    if python:
        environment |= {"python_version": python, "python_full_version": f"{python}.9"}
    requirements = [Requirement(line) for line in lock.splitlines() if line and not line.startswith("#")]
    return {
        canonicalize_name(one.name): Version(str(one.specifier).removeprefix("=="))
        for one in requirements
        if one.marker is None or one.marker.evaluate(environment)
    }


def lock_disagrees(pyproject, lock):
    """Tell which requirements the lock leaves open or breaks, for each supported Python."""
    said = []
    for python in supported(pyproject):
        pinned = pins(lock, python)
        for requirement in declared(pyproject):
            version = pinned.get(canonicalize_name(requirement.name))
            if version is None:
                said.append(f"requirements.lock pins no {requirement.name} for Python {python}: run make lock")
            elif version not in requirement.specifier:
                said.append(f"requirements.lock pins {requirement.name} {version}, pyproject.toml says {requirement}")
    return said


def lock_is_not_portable(lock):
    """Tell which lines of a lock are not one exact version, or name a host, an address or a folder."""
    said = []
    for number, line in enumerate(lock.splitlines(), 1):
        if ADDRESS.search(line):
            said.append(f"requirements.lock, line {number} names a place: {line}")
        elif line and not line.startswith("#") and not _is_pin(line):
            said.append(f"requirements.lock, line {number} is no pin: {line}")
    return said


def _is_pin(line):
    try:
        specifier = str(Requirement(line).specifier)
    except InvalidRequirement:
        return False
    return re.fullmatch(r"==[^,*]+", specifier) is not None


def build_tool_is_not_locked(pyproject, lock):
    """The project is installed without a build environment of its own: its build tool comes from the lock."""
    pinned = pins(lock)
    return [
        f"[build-system] requires {requirement}, requirements.lock pins {pinned.get(requirement.name)}"
        for requirement in map(Requirement, tomllib.loads(pyproject)["build-system"]["requires"])
        if requirement.name not in pinned or pinned[requirement.name] not in requirement.specifier
    ]


def environment_disagrees(pyproject, environment):
    """Tell where environment.yml leaves the project's Python versions or repeats what pyproject.toml says."""
    dependencies = yaml.safe_load(environment)["dependencies"]
    conda = [line for line in dependencies if isinstance(line, str)]
    pip = [line for entry in dependencies if isinstance(entry, dict) for line in entry["pip"]]
    said = [f"conda installs {line}: only python and pip" for line in conda if not re.match(r"(python=|pip$)", line)]
    python = [match[1] for line in conda if (match := re.fullmatch(r"python=(3\.\d+)", line))]
    if len(python) != 1 or python[0] not in supported(pyproject):
        said.append(f"python is {python}: write one of {supported(pyproject)} as python=3.x")
    if "pip" not in conda:
        said.append("conda does not install pip, which installs the rest")
    if "-c requirements.lock" not in pip:
        said.append("pip is not held to requirements.lock")
    extras = [match[1] for line in pip if (match := re.fullmatch(r"-e \.\[(\w+)\]", line))]
    if len(extras) != 1 or extras[0] not in project(pyproject)["optional-dependencies"]:
        said.append(f"pip installs {pip}: write -e .[EXTRA] with an extra of pyproject.toml")
    return said + [f"pip names {line} again" for line in pip if not line.startswith(("-c ", "-e "))]


def ci_disagrees(pyproject, workflow):
    """Tell where the public workflow tests other Pythons than the project supports, or calls anything but make test."""
    said = []
    for name, job in yaml.safe_load(workflow)["jobs"].items():
        tested = tuple(job["strategy"]["matrix"]["python"])
        if tested != supported(pyproject):
            said.append(f"job {name} tests {tested}, the project supports {supported(pyproject)}")
        commands = [step["run"] for step in job["steps"] if "run" in step]
        if commands != ["make test PYTHON=python${{ matrix.python }}"]:
            said.append(f"job {name} runs {commands}, not make test on the Python of the matrix")
    return said


def makefile_disagrees(pyproject, makefile):
    """Tell where the Makefile accepts other Pythons than the project supports."""
    listed = tuple(re.search(r"^SUPPORTED := (.*)$", makefile, re.MULTILINE)[1].split())
    searched = re.search(r"(?<=,)python3\.\d+( python3[.\d]*)*(?=\))", makefile)[0].split()
    wanted = [f"python{version}" for version in reversed(supported(pyproject))] + ["python3"]
    said = [] if listed == supported(pyproject) else [f"SUPPORTED is {listed}, not {supported(pyproject)}"]
    return said + ([] if searched == wanted else [f"the Makefile looks for {searched}, not {wanted}"])


def imports_undeclared(pyproject, imports):
    """Tell which packages the modules import and pyproject.toml does not list: what is there by luck may go.

    Args:
        pyproject: its text.
        imports: a dict of module to the absolute names that it imports.
    """
    needed = {canonicalize_name(requirement.name) for requirement in declared(pyproject, extras=())}
    extra = {canonicalize_name(requirement.name) for requirement in declared(pyproject)} | {None}
    said = []
    for module, names in imports.items():
        for name in sorted({name.partition(".")[0] for name in names} - sys.stdlib_module_names - {PACKAGE}):
            listed = OPTIONAL[name] in extra if name in OPTIONAL else canonicalize_name(name) in needed
            said += [] if listed else [f"{module} imports {name}, pyproject.toml does not list it"]
    return said


def installed_disagrees(lock, installed):
    """Tell which installed versions are not the lock's; ``installed`` maps names to versions.

    What the lock names but is not installed is told too.
    """
    return [
        f"{name} {installed.get(name, 'is missing')} is installed, requirements.lock pins {version}"
        for name, version in pins(lock).items()
        if str(installed.get(name)) != str(version)
    ]


def test_the_files_agree():
    pyproject, lock = read("pyproject.toml"), read("requirements.lock")
    assert lock_disagrees(pyproject, lock) == []
    assert lock_is_not_portable(lock) == []
    assert build_tool_is_not_locked(pyproject, lock) == []
    assert environment_disagrees(pyproject, read("environment.yml")) == []
    assert ci_disagrees(pyproject, read(".github/workflows/test.yml")) == []
    assert makefile_disagrees(pyproject, read("Makefile")) == []


def test_what_the_package_imports_is_declared():
    imports = {name: imported(path.read_text("utf-8"), name, path.stem == "__init__") for name, path in modules()}
    assert imports_undeclared(read("pyproject.toml"), imports) == []
    found = {name.partition(".")[0] for names in imports.values() for name in names}
    assert set(OPTIONAL) - found == set(), "an exception that nothing needs"
    assert {"numpy", "urllib3", "traitlets", "IPython"} <= found, "the imports are not seen"


def test_urllib3_has_what_the_download_calls():
    import urllib3

    source = read("resnet_lessons/data/download.py")
    assert "raw.read1(" in source, "remove this test, and the lower bound if nothing else needs it"
    assert callable(urllib3.HTTPResponse.read1)
    [bound] = [one.specifier for one in declared(read("pyproject.toml"), extras=()) if one.name == "urllib3"]
    assert not bound.contains("2.1.0"), "urllib3 has read1 from 2.2 on"


def test_what_is_installed_is_what_the_project_asks_for():
    installed = {canonicalize_name(one.name): Version(one.version) for one in importlib.metadata.distributions()}
    wanted = [one for one in declared(read("pyproject.toml")) if one.marker is None or one.marker.evaluate()]
    assert [str(one) for one in wanted if installed.get(canonicalize_name(one.name)) not in one.specifier] == []
    assert importlib.metadata.version(NAME) == project(read("pyproject.toml"))["version"]


@pytest.mark.skipif(Path(sys.prefix) != ROOT / ".venv", reason="not the environment that make installs from the lock")
def test_what_make_installed_is_what_the_lock_pins():
    installed = {canonicalize_name(one.name): Version(one.version) for one in importlib.metadata.distributions()}
    assert installed_disagrees(read("requirements.lock"), installed) == []


PYPROJECT = """
[build-system]
requires = ["setuptools>=77"]
[project]
name = "resnet-lessons"
requires-python = ">=3.11,<3.14"
dependencies = ["numpy>=2.3", "Keras>=3.15,<3.16"]
[project.optional-dependencies]
lab = ["jupyterlab>=4.5"]
app = ["voila>=0.5"]
sweep = ["ray>=2.60"]
dev = ["resnet-lessons[lab,app,sweep]", "pytest>=9.0"]
"""
LOCK = """# made by make lock
jupyterlab==4.6
keras==3.15.1
numpy==2.4.6 ; python_full_version < '3.12'
numpy==2.5.5 ; python_full_version >= '3.12'
pytest==9.2
ray==2.60.0
setuptools==84.2.1
voila==0.5.13
"""
ENVIRONMENT = """
dependencies:
  - python=3.12
  - pip
  - pip:
      - -c requirements.lock
      - -e .[dev]
"""
WORKFLOW = """
jobs:
  test:
    strategy:
      matrix:
        python: ["3.11", "3.12", "3.13"]
    steps:
      - uses: actions/checkout@v5
      - run: make test PYTHON=python${{ matrix.python }}
"""
MAKEFILE = "SUPPORTED := 3.11 3.12 3.13\nx $(if $(PYTHON),$(PYTHON),python3.13 python3.12 python3.11 python3)\n"


def test_the_checks_accept_what_is_right():
    assert lock_disagrees(PYPROJECT, LOCK) == []
    assert lock_is_not_portable(LOCK) == []
    assert build_tool_is_not_locked(PYPROJECT, LOCK) == []
    assert environment_disagrees(PYPROJECT, ENVIRONMENT) == []
    assert ci_disagrees(PYPROJECT, WORKFLOW) == []
    assert makefile_disagrees(PYPROJECT, MAKEFILE) == []
    assert imports_undeclared(PYPROJECT, {"a": ["numpy.linalg", "os.path", "resnet_lessons.b", "ray", "torch"]}) == []
    assert installed_disagrees("a==1.0\nb==2 ; sys_platform == 'nowhere'\n", {"a": Version("1.0")}) == []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("keras==3.15.1\n", ""),
        ("keras==3.15.1", "keras==3.16.0"),
        ("numpy==2.5.5 ; python_full_version >= '3.12'\n", ""),
        ("numpy==2.5.5", "numpy==2.2.0"),
        ("jupyterlab==4.6", "jupyterlab==4.4"),
        ("pytest==9.2\n", ""),
    ],
)
def test_a_lock_that_leaves_the_project_is_told(old, new):
    assert lock_disagrees(PYPROJECT, LOCK.replace(old, new)) != []


@pytest.mark.parametrize(
    "line",
    [
        "--index-url https://example.org/simple",
        "--extra-index-url file:///srv/simple",
        "--find-links wheels",
        "numpy @ https://example.org/numpy.whl",
        "./wheels/numpy.whl",
        "/srv/wheels/numpy.whl",
        "-e .",
        "# from https://example.org",
        "numpy",
        "numpy>=2.3",
        "numpy==2.*",
        "numpy==2.3,<3",
    ],
)
def test_a_line_that_names_a_place_or_is_no_pin_is_told(line):
    assert lock_is_not_portable(LOCK + line + "\n") != []


@pytest.mark.parametrize(("old", "new"), [("setuptools==84.2.1", "setuptools==65.5"), ("setuptools==84.2.1\n", "")])
def test_a_lock_that_cannot_build_the_project_is_told(old, new):
    assert build_tool_is_not_locked(PYPROJECT, LOCK.replace(old, new)) != []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("python=3.12", "python=3.10"),
        ("python=3.12", "python>=3.11"),
        ("python=3.12", "python==3.12"),
        ("python=3.12", "python=3.1"),
        ("  - python=3.12\n", ""),
        ("  - pip\n", ""),
        ("  - pip\n", "  - pip\n  - numpy=2.3\n"),
        ("      - -c requirements.lock\n", ""),
        ("-e .[dev]", "-e .[dev]\n      - keras==3.15.1"),
        ("-e .[dev]", "-e .[dev]\n      - keras"),
        ("-e .[dev]", "-e .[develop]"),
        ("-e .[dev]", "resnet-lessons"),
    ],
)
def test_an_environment_that_repeats_or_leaves_the_project_is_told(old, new):
    assert environment_disagrees(PYPROJECT, ENVIRONMENT.replace(old, new)) != []


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"3.11", ', ""),
        ('"3.13"', '"3.13", "3.14"'),
        ("make test PYTHON", "make lint PYTHON"),
        (" PYTHON=python${{ matrix.python }}", ""),
        ("      - run", "      - run: pip install numpy\n      - run"),
    ],
)
def test_a_workflow_that_tests_something_else_is_told(old, new):
    assert ci_disagrees(PYPROJECT, WORKFLOW.replace(old, new)) != []


@pytest.mark.parametrize(("old", "new"), [("3.13\n", "3.13 3.14\n"), ("python3.13 ", ""), ("3.11 3.12", "3.12")])
def test_a_makefile_for_other_pythons_is_told(old, new):
    assert makefile_disagrees(PYPROJECT, MAKEFILE.replace(old, new)) != []


@pytest.mark.parametrize("name", ["urllib3", "urllib3.exceptions", "IPython.display", "pytest", "voila", "jupyterlab"])
def test_an_import_that_is_not_declared_is_told(name):
    told = f"a imports {name.partition('.')[0]}, pyproject.toml does not list it"
    assert imports_undeclared(PYPROJECT, {"a": ["numpy", name]}) == [told]


@pytest.mark.parametrize(("name", "old"), [("keras", '"Keras>=3.15,<3.16"'), ("ray", '"ray>=2.60"')])
def test_an_import_whose_requirement_is_gone_is_told(name, old):
    assert len(imports_undeclared(PYPROJECT.replace(old, ""), {"a": [f"{name}.util"]})) == 1


@pytest.mark.parametrize("installed", [{}, {"a": Version("1.1")}])
def test_an_installation_that_leaves_the_lock_is_told(installed):
    assert installed_disagrees("a==1.0\n", installed) != []
