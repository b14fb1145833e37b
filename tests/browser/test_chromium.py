"""Without Chromium the browser's tests are skipped with a word why, and fail where they are required, or left out."""

import ast
from pathlib import Path

import chromium_here
import pytest
import require_browser


@pytest.fixture(autouse=True)
def nothing_installed(monkeypatch):
    for name in ("RESNET_LESSONS_BROWSER", "RESNET_LESSONS_CHROMIUM"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(chromium_here.shutil, "which", lambda _: None)


def test_without_it_they_are_skipped_and_say_so():
    with pytest.raises(pytest.skip.Exception, match="no Chromium is installed"):
        chromium_here.chromium()


def test_where_they_are_required_they_fail(monkeypatch):
    monkeypatch.setenv("RESNET_LESSONS_BROWSER", "required")
    with pytest.raises(pytest.fail.Exception, match="no Chromium is installed"):
        chromium_here.chromium()


def test_the_first_name_that_is_found_is_taken(monkeypatch):
    monkeypatch.setattr(chromium_here.shutil, "which", {"google-chrome": "/there"}.get)
    assert chromium_here.chromium() == "/there"
    monkeypatch.setenv("RESNET_LESSONS_CHROMIUM", "/another")
    assert chromium_here.chromium() == "/another"


def report(folder, passed, module=require_browser.MODULE, wrong=""):
    """Write a report of tests that passed and one more, which did not if ``wrong`` says how."""
    cases = [f'<testcase classname="{module}" name="test_{number}"/>' for number in range(passed)]
    cases.append(f'<testcase classname="{module}" name="more">{f"<{wrong}/>" if wrong else ""}</testcase>')
    path = folder / "report.xml"
    path.write_text(f"<testsuites><testsuite>{''.join(cases)}</testsuite></testsuites>")
    return path


def test_enough_that_passed_are_enough(tmp_path):
    require_browser.main(report(tmp_path, require_browser.LEAST - 1))


@pytest.mark.parametrize("wrong", ["failure", "error", "skipped"])
def test_one_that_did_not_pass_does_not_count(tmp_path, wrong):
    with pytest.raises(SystemExit, match="Only 3 tests in a browser have passed"):
        require_browser.main(report(tmp_path, require_browser.LEAST - 1, wrong=wrong))


def test_a_report_without_them_is_refused(tmp_path):
    with pytest.raises(SystemExit, match="Only 0 tests"):
        require_browser.main(report(tmp_path, 20, module="tests.elsewhere.test_browser"))
    with pytest.raises(SystemExit, match="Only 0 tests"):
        require_browser.main(tmp_path / "none.xml")


def test_there_are_as_many_as_are_required():
    tree = ast.parse((Path(__file__).parent / "test_browser.py").read_text())
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")]
    assert len(names) == require_browser.LEAST
