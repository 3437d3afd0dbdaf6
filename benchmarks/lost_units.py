"""Patterns of the strongest effort where units are lost: the forms of reduced recruitment.

Usage::

    python benchmarks/lost_units.py

Prints amplitude, evenness and pace of biceps that sprout (10 to 13 weeks after the loss) and that
are reinnervated (24 months; motor neuron disease), from 55 to 80 % of loss, and the tables of
``emgsim/catalogue/reference.toml`` that they make: means, SD, and which measures go together. Rates
are those of ``benchmarks/axes.py --fit``. About 250 CPU s.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice

from axes import tables, together
from subjects import CASES, LONGEST_STRONG_S, N_STRONG, Case, analysed, recordings

from emgsim.analysis.axes import recruitment_measures

PATTERN = ("mean_amplitude_uv", "evenness", "pace_hz")


def loss(share: float, months: float) -> Case:
    """Return a share of the axons lost that long ago."""
    return Case(conditions=({"kind": "axonal_loss", "share": share, "months": months},))


# By patient of a seed, beyond those of the cases
LOSSES = {50: loss(0.8, 2.3), 51: loss(0.55, 2.8), 55: loss(0.8, 24), 56: loss(0.55, 24)}
# By form of recruitment: case, or patient of `LOSSES`, with the seeds
FORMS: dict[str, tuple[tuple[str | int, tuple[int, ...]], ...]] = {
    "reduced.reinnervated": (
        ("chronic loss", (101, 102, 103)),
        ("motor neuron disease", (101, 102)),
        (55, (101, 102)),
        (56, (101, 102)),
    ),
    "reduced.sprouting": (
        ("subacute loss", (101, 102)),
        ("entrapment", (101, 102)),
        (50, (101, 102, 103)),
        (51, (101, 102, 103)),
    ),
}


def main() -> None:
    """Print every subject, and the tables of both forms."""
    found = {form: list(measured(form)) for form in FORMS}
    print("\n".join(tables("recruitment", found, PATTERN)))
    print("\n".join(together(found, PATTERN)))


def measured(form: str) -> Iterator[dict[str, float]]:
    """Yield the pattern of each subject of a form, and print it."""
    for one, seeds in FORMS[form]:
        case = LOSSES[one] if isinstance(one, int) else CASES[one]
        place = one if isinstance(one, int) else list(CASES).index(one)
        for seed in seeds:
            row = strongest(case, 1000 * seed + place)
            values = ", ".join(f"{name} {row[name]:.3f}" for name in PATTERN)
            print(f"# {form}, {one}, seed {seed}: {values}", flush=True)
            yield row


def strongest(case: Case, patient: int) -> dict[str, float]:
    """Return the pattern of a subject's strongest efforts, each after a slight one."""
    pairs = islice(recordings(case, patient), 2 * N_STRONG)
    found = [analysed(*pair) for pair in pairs if pair[0].duration_s <= LONGEST_STRONG_S]
    return recruitment_measures(found)


if __name__ == "__main__":
    main()
