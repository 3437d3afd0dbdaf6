"""The pages by task: each is typed as it stands, in an empty folder, and shows what it says.

A block of a file stands below a line with its name and a colon. In a ``console`` block a line
after ``$`` is typed; what follows is what is seen, ``...`` for anything. A command must end with 0
unless the next one asks for ``$?``.
"""

from __future__ import annotations

import doctest
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

TASKS = Path(__file__).parents[1] / "docs" / "tasks"
PAGES = sorted(path.stem for path in TASKS.glob("*.md"))
BLOCK = re.compile(r"^(?:`([\w./-]+)`:\n\n)?```([\w-]+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
LONGEST_S = 300
SEEN = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE


def steps(text: str) -> list[tuple[str, str]]:
    """Return the commands of a console block, each with what is seen of it."""
    found = re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]
    return [(command, seen) for command, _, seen in (step.partition("\n") for step in found)]


def typed(command: str, before: int, folder: Path) -> tuple[int, str]:
    """Type a command into a shell; return its exit code, and what is seen on the screen."""
    bin_folder = str(Path(sys.executable).parent)
    settings = {
        "PATH": os.pathsep.join([bin_folder, os.environ["PATH"]]),
        "PYTHONPATH": os.pathsep.join([str(folder / "installed"), str(folder / "src")]),
        "PYTHONUNBUFFERED": "1",
        "OPENBLAS_NUM_THREADS": "1",
        "COLUMNS": "200",
        "NO_COLOR": "1",
    }
    done = subprocess.run(
        ["bash", "-c", f"(exit {before}); {command}"],
        cwd=folder,
        env={**os.environ, **settings},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LONGEST_S,
        check=False,
    )
    return done.returncode, done.stdout


def install(project: str, folder: Path) -> None:
    """Do what ``pip install -e .`` does: the entry points of a project are found from now on."""
    table = tomllib.loads(project)["project"]
    place = folder / "installed" / f"{table['name']}-{table['version']}.dist-info"
    place.mkdir(parents=True)
    (place / "METADATA").write_text(
        f"Metadata-Version: 2.1\nName: {table['name']}\nVersion: {table['version']}\n"
    )
    groups = (
        "\n".join([f"[{group}]", *(f"{name} = {where}" for name, where in entries.items())])
        for group, entries in table.get("entry-points", {}).items()
    )
    (place / "entry_points.txt").write_text("\n".join(groups) + "\n")


def follow(text: str, folder: Path) -> None:
    """Do all that a page says, in its order."""
    code = 0
    for name, language, block in BLOCK.findall(text):
        if name:
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
            if path.name == "pyproject.toml":
                install(block, folder)
        if language != "console":
            continue
        for command, seen in steps(block):
            assert code == 0 or "$?" in command, f"nobody asked why {code} came before {command!r}"
            code, got = typed(command, code, folder)
            assert doctest.OutputChecker().check_output(seen, got, SEEN), (
                f"$ {command}\nthe page shows:\n{seen}\nand this is seen:\n{got}"
            )
    assert code == 0


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
def test_a_page_shows_what_is_seen(page: str, tmp_path: Path) -> None:
    """Whoever types what it says sees what it shows."""
    follow((TASKS / f"{page}.md").read_text(), tmp_path)


@pytest.mark.parametrize(
    ("text", "is_right"),
    [
        ("```console\n$ echo 1 2\n1 2\n$ echo 3\n3\n```\n", True),
        ("```console\n$ echo 1 2\n1 ...\n```\n", True),
        ("```console\n$ echo 1 2\n2 1\n```\n", False),
        ("```console\n$ echo 1 2\n```\n", False),
        ("```console\n$ false\n$ echo $?\n1\n```\n", True),
        ("```console\n$ false\n$ echo 1\n1\n```\n", False),
        ("```console\n$ false\n```\n", False),
        ("`a.txt`:\n\n```text\nbody\n```\n\n```console\n$ cat a.txt\nbody\n```\n", True),
        ("```sh\nfalse\n```\n", True),
    ],
)
def test_a_page_that_shows_something_else_is_found_out(
    text: str, is_right: bool, tmp_path: Path
) -> None:
    """The test of the pages sees what is wrong with one."""
    if is_right:
        follow(text, tmp_path)
        return
    with pytest.raises(AssertionError):
        follow(text, tmp_path)


@pytest.mark.parametrize("page", PAGES)
def test_every_page_says_what_can_go_wrong(page: str) -> None:
    """A reader finds the same five things on each of them."""
    text = (TASKS / f"{page}.md").read_text()
    for heading in ("You need", "What can go wrong"):
        assert f"\n## {heading}\n" in text
    assert "```console\n" in text
