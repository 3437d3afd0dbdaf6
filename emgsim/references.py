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
    patterns: dict[str, dict[str, float]] = {}  # by muscle: of recruitment's measures, in health


def reference(muscle: str) -> Reference:
    """Return the reference values of a muscle.

    The distributions are those of the simulator's muscle of the catalogue; another muscle's MUAPs
    are as much larger and longer as the published ones are. Recruitment moves by what healthy ones
    of the muscle have more than those of the catalogue's, in each form alike; where that is not
    known it does not.

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
    recruitment = _at_home(
        own.recruitment, catalogue.patterns.get(muscle, {}), catalogue.patterns.get(own.muscle, {})
    )
    return own.model_copy(update={"muscle": muscle, "muaps": muaps, "recruitment": recruitment})


def _at_home(
    recruitment: dict[str, dict[str, Spread]], healthy: dict[str, float], usual: dict[str, float]
) -> dict[str, dict[str, Spread]]:
    """Return the forms of recruitment moved by what a healthy muscle has more than the usual."""
    by = {
        name: _on_scale(healthy[name], spread.scale) - _on_scale(usual[name], spread.scale)
        for name, spread in recruitment["normal"].items()
        if name in healthy and name in usual
    }
    return {
        form: {name: _moved(spread, by.get(name, 0.0)) for name, spread in table.items()}
        for form, table in recruitment.items()
    }


def _on_scale(value: float, scale: str) -> float:
    return math.log(value) if scale == "log" else value


def _moved(spread: Spread, by: float) -> Spread:
    return spread.model_copy(update={"mean": spread.mean + by})


@cache
def _catalogue() -> _Catalogue:
    return validated(_Catalogue, read_table(CATALOGUE), str(CATALOGUE))
