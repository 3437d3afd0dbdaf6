"""The card of a dataset: README.md for people, croissant.json for their tools.

Croissant 1.0 (MLCommons, https://docs.mlcommons.org/croissant/docs/croissant-spec.html) is JSON-LD
on schema.org: files under ``distribution``, columns under ``recordSet``. It is written here by
hand, as its own library is larger than all of emgsim's.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from emgsim.dataset import folder as place
from emgsim.dataset.digests import dataset_sha256
from emgsim.dataset.engine import in_bytes
from emgsim.dataset.finishing import COLUMNS, done_rows
from emgsim.dataset.items import Items
from emgsim.dataset.made import SPLITS
from emgsim.dataset.parameters import each
from emgsim.dataset.statistics import (
    Compared,
    classes_on_the_skin,
    compare_with,
    published,
    summaries,
    values_by_class,
)
from emgsim.errors import InputError
from emgsim.records.journal import digest

CONTEXT: dict[str, Any] = {  # of Croissant 1.0, as its specification prints it
    "@language": "en", "@vocab": "https://schema.org/", "citeAs": "cr:citeAs",
    "column": "cr:column", "conformsTo": "dct:conformsTo", "cr": "http://mlcommons.org/croissant/",
    "rai": "http://mlcommons.org/croissant/RAI/", "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"}, "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"}, "extract": "cr:extract",
    "field": "cr:field", "fileProperty": "cr:fileProperty", "fileObject": "cr:fileObject",
    "fileSet": "cr:fileSet", "format": "cr:format", "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset", "jsonPath": "cr:jsonPath", "key": "cr:key",
    "md5": "cr:md5", "parentField": "cr:parentField", "path": "cr:path",
    "recordSet": "cr:recordSet", "references": "cr:references", "regex": "cr:regex",
    "repeated": "cr:repeated", "replace": "cr:replace", "sc": "https://schema.org/",
    "separator": "cr:separator", "source": "cr:source", "subField": "cr:subField",
    "transform": "cr:transform",
}  # fmt: skip
CONFORMS = "http://mlcommons.org/croissant/1.0"
SETS = {  # of each format: the files, and their type
    "npz": ("items/**/*.npz", "application/x-npz"),
    "bids": ("bids/**/*.bdf", "application/x-bdf"),
    "wav": ("wav/*.wav", "audio/wav"),
    "nwb": ("nwb/*.nwb", "application/x-hdf5"),
    "zarr": ("zarr/**", "application/x-zarr"),
}
NUMBERS = {"seed": "sc:Integer", "n_channels": "sc:Integer", "n_discharges": "sc:Integer",
           "duration_s": "sc:Float"}  # fmt: skip
LIMITS = (
    "It is simulated. A model that works on it has not been shown to work on patients.",
    "Each subject has one muscle model per recording, with the physiology that emgsim's docs state "
    "and the ranges that its sources give; rare anatomy and mixed diseases are not in it.",
    "Subjects differ by chance and by the parameters above, not as a population of people does.",
    "Discharges agree on every machine; samples agree to 1e-9 of full scale between processors.",
)


def write_card(folder: Path, real: Sequence[Path] = ()) -> list[Path]:
    """Write the card of a dataset, and return its files.

    Parameters
    ----------
    folder
        Of a finished dataset.
    real
        Recordings of patients, with which it is compared.

    Raises
    ------
    InputError
        If the set has no index yet, or a recording cannot be read.
    UsageError
        If the folder cannot be written.
    """
    items = place.items_in(folder)
    if not (folder / place.INDEX).is_file():
        raise InputError(
            "the dataset has no index yet",
            where=str(folder),
            todo="make all of it, or merge its shards",
        )
    text, table = readme(folder, items, real), croissant(folder, items)
    with place.writing(folder):
        place.write_whole(folder / "README.md", text)
        place.write_whole(folder / "croissant.json", json.dumps(table, indent=1) + "\n")
    return [folder / "README.md", folder / "croissant.json"]


def readme(folder: Path, items: Items, real: Sequence[Path] = ()) -> str:
    """Return the card for people, as Markdown."""
    plan = items.plan
    size = _Size()
    sha256 = dataset_sha256(size.counted(done_rows(folder, items)))
    parts = [
        f"# {plan.title}\n",
        f"{plan.description.strip()}\n" if plan.description.strip() else "",
        _table(
            ["", ""],
            [
                ["id, version", f"{plan.id}, {plan.version}"],
                ["licence", plan.licence],
                ["authors", ", ".join(plan.authors)],
                ["items", f"{size.n_items} of {items.n_subjects} simulated subjects"],
                ["signal", f"{size.seconds / 3600:.3g} h, {in_bytes(size.n_bytes)}"],
                ["formats", ", ".join(plan.formats)],
                ["digest of all discharges", f"`{sha256}`"],
                ["plan", f"`{plan.digest}`; seed {plan.seed}"],
            ],
        ),
        "\n## Classes and splits\n",
        "All recordings of a subject are in one split.\n",
        _table(
            ["class", *SPLITS],
            [[name, *map(str, row.values())] for name, row in items.balance().items()],
        ),
        _variants(items),
        "\n## Parameters\n",
        _parameters(items),
        "\n## What the recordings are like\n",
        "Quantiles of 5, 50 and 95 % over the items; see docs/datasets.md for each descriptor.\n",
        _descriptors(folder, items),
        _beside_published(folder, items),
        _compared(folder, items, real),
        "\n## Known limits\n",
        "\n".join(f"- {limit}" for limit in LIMITS) + "\n",
        "\n## Making it again\n",
        "`dataset.json` holds the plan with all its scenarios. `emgsim dataset item DIR K` makes "
        "item K alone, with the same discharges; `emgsim dataset verify DIR` reads every file.\n",
    ]
    return "\n".join(part for part in parts if part)


@dataclass
class _Size:
    """Items, bytes and seconds, added up as the items go by."""

    n_items: int = 0
    n_bytes: int = 0
    seconds: float = 0.0

    def counted(self, rows: Iterable[tuple[str, place.Row | None]]) -> Iterator[tuple[str, str]]:
        """Yield id and digest of what is there."""
        for id, row in rows:
            if row is not None:
                self.n_items += 1
                self.n_bytes += sum(one["bytes"] for one in row["files"].values())
                self.seconds += row["duration_s"]
                yield id, row["events_sha256"]


def croissant(folder: Path, items: Items) -> dict[str, Any]:
    """Return the card for tools, as Croissant 1.0."""
    plan = items.plan
    index = folder / place.INDEX
    files: list[dict[str, Any]] = [
        {
            "@type": "cr:FileObject", "@id": place.INDEX, "name": place.INDEX,
            "contentUrl": place.INDEX, "encodingFormat": "text/tab-separated-values",
            "sha256": digest(index), "contentSize": f"{index.stat().st_size} B",
        }
    ]  # fmt: skip
    for name in plan.formats:
        pattern, kind = SETS[name]
        files.append(
            {"@type": "cr:FileSet", "@id": name, "name": name, "includes": pattern,
             "encodingFormat": kind}
        )  # fmt: skip
    with index.open(encoding="utf-8") as lines:
        keys = lines.readline().strip().split("\t")
    return {
        "@context": CONTEXT,
        "@type": "sc:Dataset",
        "name": plan.id,
        "description": plan.description.strip() or plan.title,
        "conformsTo": CONFORMS,
        "license": f"https://spdx.org/licenses/{plan.licence}.html",
        "creator": [{"@type": "sc:Person", "name": name} for name in plan.authors],
        "version": plan.version,
        "keywords": ["electromyography", "EMG", "simulated", "motor unit"],
        "distribution": files,
        "recordSet": [
            {
                "@type": "cr:RecordSet",
                "@id": "items",
                "name": "items",
                "key": {"@id": "items/id"},
                "field": [_field(key, items) for key in keys],
            }
        ],
    }


def _field(key: str, items: Items) -> dict[str, Any]:
    kind = NUMBERS.get(key, "sc:Text")
    if key not in COLUMNS and all(
        isinstance(item.parameters.get(key, ""), float | int)
        for item in (items[0], items[len(items) - 1])
    ):
        kind = "sc:Float"
    return {
        "@type": "cr:Field", "@id": f"items/{key}", "name": key, "dataType": kind,
        "source": {"fileObject": {"@id": place.INDEX}, "extract": {"column": key}},
    }  # fmt: skip


def _variants(items: Items) -> str:
    variants = items.plan.variants
    if not variants:
        return ""
    rows = [[variant.name, ", ".join(variant.set) or "as planned"] for variant in variants]
    return "\nEach recording is there in each variant, of the same person and seed:\n\n" + _table(
        ["variant", "differs by"], rows
    )


def _parameters(items: Items) -> str:
    rows = []
    for one in each(items.plan.parameters):
        facts = one.model_dump(exclude={"key", "kind", "per", "scenarios"}, exclude_defaults=True)
        words = ", ".join(f"{name} {value}" for name, value in facts.items())
        rows.append([f"`{one.key}`", one.kind, words, one.per, ", ".join(one.scenarios) or "all"])
    if not rows:
        return "None is varied; recordings differ by their seeds.\n"
    return _table(["key", "kind", "values", "drawn per", "scenarios"], rows)


def _descriptors(folder: Path, items: Items) -> str:
    rows = [
        [name, f"{one.descriptor} ({one.unit})", str(one.n)]
        + [f"{value:.4g}" for value in (one.low, one.median, one.high)]
        for name, values in values_by_class(folder, items).items()
        for one in summaries(values)
    ]
    return _table(["class", "descriptor", "n", "5 %", "50 %", "95 %"], rows)


def _beside_published(folder: Path, items: Items) -> str:
    on_the_skin = classes_on_the_skin(folder, items)
    rows = [
        [name, one.descriptor, f"{one.low:g} to {one.high:g}", f"{one.share(known):.0%}", one.of,
         one.source]
        for name, values in values_by_class(folder, items).items()
        for one in published()
        if one.electrode in ("any", "surface" if name in on_the_skin else "needle")
        and (known := values.get(one.descriptor))
    ]  # fmt: skip
    head = ["class", "descriptor", "published", "items within", "of", "source"]
    return (
        "\nBeside published ranges, which are of healthy muscle, with a concentric needle or on "
        "the skin, as the class is; one that is ill, or an effort that is another one, may well "
        "lie outside:\n\n"
    ) + _table(head, rows)


def _compared(folder: Path, items: Items, real: Sequence[Path]) -> str:
    if not real:
        return ""
    rows = [
        _comparison(name, one)
        for name, values in values_by_class(folder, items).items()
        for one in compare_with(values, real)
    ]
    head = ["class", "descriptor", "simulated", "real", "largest difference", "by chance"]
    return (
        f"\n## Beside {len(real)} real recordings\n\nMedians, the largest difference of the two "
        "distributions (0 to 1), and how often chance alone makes one as large.\n\n"
    ) + _table(head, rows)


def _comparison(name: str, one: Compared) -> list[str]:
    medians = [f"{one.simulated.median:.4g}", f"{one.real.median:.4g}"]
    return [
        name, f"{one.descriptor} ({one.unit})", *medians, f"{one.distance:.2f}",
        f"{one.chance:.2g}",
    ]  # fmt: skip


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in row)} |\n" for row in lines)
