"""Parameter models: what a scenario may say, and how it is told of a mistake."""

from __future__ import annotations

import subprocess
import sys
from typing import get_args

import pytest
from pydantic import TypeAdapter, ValidationError

from emgsim.artefacts.composition import MAKERS
from emgsim.artefacts.parameters import (
    Adc,
    Artefact,
    Ecg,
    LeadOff,
    Mains,
    Movement,
    NeedleMovement,
    Place,
    Pop,
    RfBurst,
    Saturation,
    Thermal,
    check_order,
)

KINDS = get_args(get_args(Artefact)[0])
NEEDED = {LeadOff: {"channels": (0,)}}  # what has no default, since none makes sense
READ = TypeAdapter(Artefact)


@pytest.mark.parametrize("model", KINDS)
def test_every_kind_is_chosen_by_its_word_and_has_defaults(model) -> None:
    """A table that says no more than its kind, and what it needs, is typical of that kind."""
    needed = NEEDED.get(model, {})
    artefact = model(**needed)
    assert READ.validate_python({"kind": artefact.kind, **needed}) == artefact
    assert READ.validate_json(artefact.model_dump_json()) == artefact
    assert isinstance(artefact.place, Place)


def test_every_kind_is_made_by_something() -> None:
    """Each kind has its maker, but for the four that are stages of their own."""
    stages_of_their_own = {"saturation", "adc", "crosstalk", "lead_off"}
    assert set(MAKERS) | stages_of_their_own == {
        model.model_fields["kind"].default for model in KINDS
    }


@pytest.mark.parametrize("table", [
    {"kind": "hum"}, {"kind": "mains", "frequency_hz": 400}, {"kind": "mains", "volume": 1},
    {"kind": "ecg", "rate_bpm": 10}, {"kind": "adc", "bits": 64}, {"kind": "thermal",
                                                                  "channels": [-1]},
    {"kind": "thermal", "resistance_ohm": float("inf")},
])
def test_what_is_out_of_range_is_refused(table) -> None:
    """Unknown kinds, unknown keys and impossible sizes are mistakes."""
    with pytest.raises(ValidationError):
        READ.validate_python(table)


@pytest.mark.parametrize(("model", "values", "message"), [
    (RfBurst, {"packet_ms": 5.0}, r"packet_ms must be < 4\.615 .* got 5"),
    (Pop, {"rise_ms": 10, "decay_ms": 5}, r"rise_ms must be < decay_ms \(5\), got 10"),
    (Movement, {"lowest_hz": 30}, r"lowest_hz must be <= highest_hz \(20\), got 30"),
    (NeedleMovement, {"shortest_ms": 400}, r"shortest_ms must be <= longest_ms \(300\), got 400"),
    (LeadOff, {}, r"channels must name the leads that are off, as in \[3\]; got none"),
    (LeadOff, {"channels": ()}, "channels must name the leads that are off"),
    (LeadOff, {"channels": (0,), "from_s": 4, "until_s": 4}, r"must be > from_s \(4\), got 4"),
    (Thermal, {"channels": (1, 1)}, r"channels must name each column once, got \[1, 1\]"),
    (Ecg, {"channels": (0, 1), "gains": (1, 2, 3)}, "one for each of the 2 channels, got 3"),
])
def test_impossible_combinations_say_thing_rule_and_value(model, values, message) -> None:
    """One clear sentence each."""
    with pytest.raises(ValidationError, match=message):
        model(**values)


def test_the_order_is_the_way_of_the_signal() -> None:
    """Muscle, body, electrode, amplifier, limiter, converter; equal places in any order."""
    check_order([NeedleMovement(), Mains(), Ecg(), Mains(), Thermal(), Saturation(), Adc()])
    check_order([])
    with pytest.raises(ValueError, match=r"2 \(thermal, electrode\) must stand before adc"):
        check_order([Adc(), Thermal()])
    with pytest.raises(ValueError, match=r"3 \(ecg, body\) must stand before saturation"):
        check_order([Thermal(), Saturation(), Ecg()])
    with pytest.raises(ValueError, match="adc must stand once, and last; artefact 2 is another"):
        check_order([Adc(), Adc()])


def test_the_models_load_no_numerical_library() -> None:
    """The command line's help can name every kind at once."""
    code = (
        "import sys, emgsim.artefacts.parameters\n"
        "print([m for m in ('numpy', 'scipy', 'numba') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True,
                          timeout=60, check=True)
    assert done.stdout.strip() == "[]"
