"""Fail unless the tests in a browser have passed, also if they were left out: a report without them is no report.

python tests/require_browser.py build/test/report.xml
"""

import sys
import xml.etree.ElementTree as ElementTree
from pathlib import Path

MODULE = "tests.browser.test_browser"
LEAST = 4


def passed(report):
    """Count the tests of ``MODULE`` that passed, by pytest's report in XML."""
    cases = [case for case in ElementTree.parse(report).iter("testcase") if case.get("classname") == MODULE]
    return sum(not {"failure", "error", "skipped"} & {child.tag for child in case} for case in cases)


def main(report):
    found = passed(report) if Path(report).exists() else 0
    if found < LEAST:
        sys.exit(f"Only {found} tests in a browser have passed, by {report}; {MODULE} has at least {LEAST}.")


if __name__ == "__main__":
    main(sys.argv[1])
