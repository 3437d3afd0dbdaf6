"""Where the scenarios and rigs that come with emgsim are: in the wheel, or beside a checkout."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from emgsim.configuration import nearest
from emgsim.errors import InputError

Kind = Literal["scenarios", "rigs", "rigs/devices"]
PACKAGE = Path(__file__).parent


def folder(kind: Kind) -> Path:
    """Return the folder of the shipped files of one kind."""
    in_wheel = PACKAGE / "shipped" / kind
    return in_wheel if in_wheel.is_dir() else PACKAGE.parent / kind


def names(kind: Kind) -> list[str]:
    """Return the names of the shipped files of one kind, sorted."""
    return sorted(path.stem for path in folder(kind).glob("*.toml"))


def find(kind: Kind, name: str | Path) -> Path:
    """Return the file that a user means: a path that exists, else a shipped name.

    Raises
    ------
    InputError
        If neither exists; the message names the nearest shipped one.
    """
    path = Path(name)
    if path.is_file():
        return path
    shipped = folder(kind) / f"{name}.toml"
    if path.name == str(name) and shipped.is_file():
        return shipped
    thing = kind.split("/")[-1].removesuffix("s")
    if path.suffix or path.name != str(name):
        raise InputError(f"{thing} file not found", where=str(name), todo="check the path")
    hint = nearest(str(name), names(kind))
    raise InputError(
        f"{thing} {str(name)!r} is neither a file nor a shipped name{hint}",
        where=str(folder(kind)),
        todo=f"`emgsim list {kind.split('/')[-1]}` shows what is shipped",
    )
