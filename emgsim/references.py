"""Reference values of the catalogue: what is normal in a muscle, and what diseases make of it."""

from __future__ import annotations

import math
from functools import cache

from pydantic import BaseModel, ConfigDict

from emgsim.analysis.comparison import Reference, Spread
from emgsim.configuration import nearest, read_table, validated
from emgsim.errors import InputError
from emgsim.shipped import PACKAGE

CATALOGUE = PACKAGE / "catalogue" / "reference.toml"


class _Published(BaseModel):
    """Mean and SD of subject means, concentric needle, slight effort."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    amplitude_uv: tuple[float, float]
    duration_ms: tuple[float, float]


class _Catalogue(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    published: dict[str, _Published]
    simulated: Reference


def reference(muscle: str) -> Reference:
    """Return the reference values of a muscle.

    The distributions are those of the simulator's muscle of the catalogue; another muscle's MUAPs
    are as much larger and longer as the published ones are.

    Raises
    ------
    InputError
        If nothing is published for the muscle; the nearest name is given.

    Examples
    --------
    >>> reference("biceps_brachii").mixtures["normal"]["normal"] > 0.5
    True
    """
    catalogue = _catalogue()
    own, known = catalogue.simulated, catalogue.published
    if muscle not in known:
        raise InputError(
            f"no reference values for muscle {muscle!r}{nearest(muscle, known)}",
            where=str(CATALOGUE),
            todo=f"name one of {', '.join(sorted(known))}",
        )
    here, there = known[own.muscle], known[muscle]
    later = {
        name: math.log(getattr(there, name)[0] / getattr(here, name)[0])
        for name in _Published.model_fields
    }
    muaps = {
        kind: {name: _moved(spread, later.get(name, 0.0)) for name, spread in table.items()}
        for kind, table in own.muaps.items()
    }
    return own.model_copy(update={"muscle": muscle, "muaps": muaps})


def _moved(spread: Spread, by: float) -> Spread:
    return spread.model_copy(update={"mean": spread.mean + by})


@cache
def _catalogue() -> _Catalogue:
    return validated(_Catalogue, read_table(CATALOGUE), str(CATALOGUE))
