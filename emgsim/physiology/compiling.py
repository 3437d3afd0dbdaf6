"""How the kernels of this room are compiled."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar, cast

import numba

Function = TypeVar("Function", bound=Callable[..., object])


def compiled(function: Function) -> Function:
    """Compile, and keep the machine code beside the source if that folder can be written."""
    try:
        return cast(Function, numba.njit(cache=True, error_model="numpy")(function))
    except RuntimeError:  # no folder for the cache: compile anew in each process
        return cast(Function, numba.njit(error_model="numpy")(function))
