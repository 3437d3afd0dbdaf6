"""Baselines that are wrong, missing, forged or of something else: each one clear error."""

from collections.abc import Callable
from pathlib import Path

import pytest

Make = Callable[..., Path]
Command = Callable[..., int]


def replaced(*pairs: tuple[str, str]) -> Callable[[Path], None]:
    """Return an edit of a file by hand."""

    def edit(path: Path) -> None:
        text = path.read_text()
        for old, new in pairs:
            assert old in text
            text = text.replace(old, new)
        path.write_text(text)

    return edit


MISTAKES = {
    "nobody approved it": (
        replaced(('by = "A. Nyquist"', 'by = ""')), 3, "is only proposed: nobody has approved it",
    ),
    "a margin was widened": (
        replaced(("margin = 0.05", "margin = 0.5")), 3, "was changed after A. Nyquist approved it",
    ),
    "another name stands below it": (
        replaced(("A. Nyquist", "B. Shannon")), 3, "was changed after B. Shannon approved it",
    ),
    "its digest was taken away": (
        replaced(('digest = "', 'digest = ""  # ')), 3, "approved was none",
    ),
    "a measurement was taken out of it": (
        lambda path: path.write_text(path.read_text().rpartition("[[measurements]]")[0]),
        3, "was changed after A. Nyquist approved it",
    ),
    "a value was taken out of it": (
        replaced(("values = [", "values = [] # ")), 3, "measurements.0.values",
    ),
    "it is no TOML": (lambda path: path.write_bytes(bytes(range(256))), 3, "to do: "),
    "it is empty": (lambda path: path.write_text(""), 3, "schema: missing"),
    "it is gone": (lambda path: path.unlink(), 3, "no baseline is called 'biceps'"),
    "it waits for approval": (
        lambda path: (path.parent / "proposed" / path.name).write_text(path.read_text())
        and path.unlink(),
        3, "baseline biceps is only proposed",
    ),
    "it is of another scenario": (
        replaced(('scenario = "healthy_biceps"', 'scenario = "myotonia"')),
        3, "was changed after",
    ),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_baseline_that_is_not_as_approved_compares_nothing(
    mistake: str,
    approved: Path,
    on_baselines: Command,
    two: Make,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """One error that says what, where and what to do; nothing on standard output."""
    edit, code, said = MISTAKES[mistake]
    edit(approved)
    capsys.readouterr()
    assert on_baselines("check", "biceps", two(20, 0.95, 0.0), two(21, 0.95, 0.0)) == code
    told = capsys.readouterr()
    assert said in told.err
    assert "where: " in told.err
    assert "to do: " in told.err
    assert told.out == ""
    assert "Traceback" not in told.err


def test_what_the_new_runs_have_not_measured_keeps_no_other_answer_back(
    approved: Path, on_baselines: Command, two: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is answered with a reason of its own, and the exit code tells that not all is known."""
    capsys.readouterr()
    assert on_baselines("check", "biceps", two(20, 0.951, None), two(21, 0.948, None)) == 5
    table = capsys.readouterr().out
    assert "equivalent" in table
    assert "not enough data: it was in none of the runs" in table


def test_what_is_in_another_unit_is_compared_with_nothing(
    approved: Path, on_baselines: Command, two: Make, capsys: pytest.CaptureFixture[str]
) -> None:
    """A change of another measurement is told all the same."""
    capsys.readouterr()
    runs = [two(20, 0.80, 0.0, unit="1"), two(21, 0.81, 0.0, unit="1")]
    assert on_baselines("check", "biceps", *runs) == 1
    table = capsys.readouterr().out
    assert "changed" in table
    assert "it is in '1' now, then in '%'" in table


def test_a_measurement_that_nobody_knows_is_named_with_the_nearest(
    on_baselines: Command, ten: list[Path], capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is proposed."""
    assert on_baselines("propose", "b", *ten, "--margin", "discharges.f1.devise=0.05") == 2
    assert "did you mean 'discharges.f1.device'?" in capsys.readouterr().err
    assert on_baselines("check", "b", ten[0]) == 3


def test_one_broken_baseline_hides_no_other_in_the_list(
    approved: Path, on_baselines: Command, capsys: pytest.CaptureFixture[str]
) -> None:
    """The list is whole, and its exit code tells that one could not be read."""
    (approved.parent / "aaa.toml").write_text("nonsense")
    capsys.readouterr()
    assert on_baselines("list") == 3
    told = capsys.readouterr()
    assert "A. Nyquist" in told.out
    assert "aaa.toml" in told.err


def test_a_folder_that_is_no_run_is_named(
    approved: Path, on_baselines: Command, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing is compared with half of what was asked."""
    assert on_baselines("check", "biceps", tmp_path / "nowhere") == 3
    assert "nowhere" in capsys.readouterr().err
