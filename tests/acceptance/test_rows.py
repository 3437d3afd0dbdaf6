"""Every row of the acceptance table that is done has its test, so that none can vanish."""

from __future__ import annotations

import ast
import re
from collections import Counter
from pathlib import Path

ROWS = [*range(1, 26), *range(29, 35), 36, 57]


def rows_of(source: str) -> list[tuple[int, ast.FunctionDef]]:
    """Return the tests of a file's text that carry the number of a row: ``test_aNN_...``."""
    return [
        (int(found[1]), node)
        for node in ast.parse(source).body
        if isinstance(node, ast.FunctionDef) and (found := re.match(r"test_a(\d\d)_", node.name))
    ]


def all_rows() -> list[tuple[int, ast.FunctionDef]]:
    """Return the rows of all files of this folder."""
    files = sorted(Path(__file__).parent.glob("test_*.py"))
    return [row for file in files for row in rows_of(file.read_text("utf-8"))]


def test_every_row_has_one_test() -> None:
    """No row is missing, none has two, and none has a number that is not in the list."""
    assert Counter(row for row, _ in all_rows()) == dict.fromkeys(ROWS, 1)


def test_no_row_is_left_out_when_the_tests_run() -> None:
    """A row may be asked of several cases; nothing skips one, and none expects to fail."""
    marks = [ast.unparse(mark) for _, node in all_rows() for mark in node.decorator_list]
    assert all(mark.startswith("pytest.mark.parametrize(") for mark in marks)


def test_the_check_sees_rows_and_nothing_else() -> None:
    """The rule is tested itself: functions of a module whose names begin as a row does."""
    text = "def test_a01_x(): ...\ndef test_a1_x(): ...\ndef test_all(): ...\ndef a02(): ...\n"
    assert [row for row, _ in rows_of(text)] == [1]
