"""Campaign files and their cells: what is read, what is refused, what a sweep changes."""

from __future__ import annotations

from pathlib import Path

import pytest

from emgsim.campaigns.campaign import load_campaign
from emgsim.campaigns.cells import cells_of, digest_of
from emgsim.configuration import with_overrides
from emgsim.errors import InputError, UsageError
from emgsim.shipped import find

TWO = 'scenarios = ["healthy_biceps", "healthy_fdi"]\n'


def sweep(name: str, key: str | None, values: str) -> str:
    """Write a sweep."""
    said = "" if key is None else f'key = "{key}"\n'
    return f'[[sweeps]]\nname = "{name}"\n{said}values = {values}\n'


def test_a_campaign_of_scenarios_alone_runs_each_once_on_the_virtual_rig(load) -> None:
    """What is left out: the virtual rig, each scenario's own seed, the built-in analysis."""
    cells = cells_of(load(TWO), "here")
    assert [c.id for c in cells] == [
        "001-healthy_biceps-virtual-seed2", "002-healthy_fdi-virtual-seed612"]  # fmt: skip
    assert {c.prepare for c in cells} == {None}


def test_scenarios_rigs_seeds_and_sweeps_multiply_rig_by_rig(load) -> None:
    """The seed runs fastest, then the scenario, then the last sweep; the rig is changed once."""
    text = TWO + 'rigs = ["virtual", "virtual-siglent"]\nseeds = [1, 5]\n'
    text += sweep("clock", "rig.virtual.amplifier.clock_ppm", "[0, 50]")
    text += sweep("place", "electrode.tip.z_mm", "[10, 15, 20]")
    cells = cells_of(load(text), "here")
    assert len(cells) == 2 * 2 * 2 * 2 * 3
    assert len({c.id for c in cells}) == len(cells)
    told = [(c.rig, c.values["clock"], c.values["place"], c.scenario, c.seed) for c in cells]
    assert told[:3] == [
        ("virtual", 0, 10, "healthy_biceps", 1), ("virtual", 0, 10, "healthy_biceps", 5),
        ("virtual", 0, 10, "healthy_fdi", 1)]  # fmt: skip
    assert [rig for rig, *_ in told] == 24 * ["virtual"] + 24 * ["virtual-siglent"]


def test_each_axis_that_people_sweep_changes_what_it_names(load) -> None:
    """Noise, effort, distance and clock stand in scenario or rig; a firmware is flashed."""
    text = 'scenarios = ["healthy_biceps"]\nprepare = "true --version {firmware}"\n'
    text += sweep("noise", "rig.virtual.amplifier.noise_uv_rms", "[7.5]")
    text += sweep("effort", "phases.1.level_mvc", "[0.15]")
    text += sweep("distance", "electrode.tip.x_mm", "[1.5]")
    text += sweep("clock", "rig.virtual.amplifier.clock_ppm", "[-80]")
    text += sweep("firmware", None, '["1.2.0", "2.0 beta"]')
    first, last = cells_of(load(text), "here")
    assert first.on.virtual.amplifier.noise_uv_rms == 7.5
    assert first.on.virtual.amplifier.clock_ppm == -80
    assert [p.level_mvc for p in first.subject.phases[1:]] == [0.15]
    assert first.subject.electrode.tip.x_mm == 1.5
    assert first.prepare == "true --version 1.2.0"
    assert last.prepare == "true --version '2.0 beta'"  # one word, whatever is in it
    assert last.values["firmware"] == "2.0 beta"
    assert "/" not in last.id
    assert " " not in last.id


def test_an_examination_is_a_cell_as_well(load) -> None:
    """Its key paths are its own."""
    text = 'scenarios = ["carpal_tunnel"]\nseeds = [4]\n'
    [cell] = cells_of(load(text + sweep("sites", "protocol.slight_sites", "[4]")), "here")
    assert cell.table()["kind"] == "examination"
    assert (cell.seed, cell.subject.protocol.slight_sites) == (4, 4)


def test_files_beside_the_campaign_are_found_from_anywhere(tmp_path: Path, write) -> None:
    """A path is relative to the campaign's file; a bare name that is no file there is shipped."""
    own = find("scenarios", "healthy_fdi").read_text("utf-8")
    (tmp_path / "own.toml").write_text(own, encoding="utf-8")
    campaign = load_campaign(write('scenarios = ["own.toml", "healthy_biceps"]\n'))
    assert campaign.scenarios == (str((tmp_path / "own.toml").resolve()), "healthy_biceps")
    assert [c.scenario for c in cells_of(campaign, "here")] == ["own", "healthy_biceps"]


def test_every_mistake_of_a_file_is_named_at_once(write) -> None:
    """Unknown keys with the nearest name, wrong values with the rule."""
    path = write('scenarios = []\nseed = [1]\nseeds = [-1]\ndetector_timeout_s = 0\n'
                 '[[sweeps]]\nname = "A b"\nvalues = []\n')  # fmt: skip
    with pytest.raises(InputError) as info:
        load_campaign(path)
    told = str(info.value)
    assert "6 mistakes" in told
    assert "seed: unknown key; did you mean 'seeds'?" in told
    for key in ("scenarios:", "seeds.0:", "detector_timeout_s:", "sweeps.0.name:",
                "sweeps.0.values:"):  # fmt: skip
        assert f"- {key}" in told


def test_what_cannot_be_told_apart_or_changes_nothing_is_refused(write) -> None:
    """The same seed twice, labels that no command reads, a command that names no sweep."""
    path = write('scenarios = ["a/x.toml", "b/x.toml"]\nseeds = [1, 1]\n'
                 'prepare = "flash {frmware}"\n'
                 + sweep("firmware", None, '["1", "2"]'))  # fmt: skip
    with pytest.raises(InputError) as info:
        load_campaign(path)
    told = str(info.value)
    assert "scenarios must differ, got x more than once" in told
    assert "seeds must differ, got 1 more than once" in told
    assert "prepare: there is no sweep 'frmware'; did you mean 'firmware'?" in told
    assert "'firmware' has 2 labels that change nothing" in told


def test_one_label_says_what_is_tested_and_needs_no_command(load) -> None:
    """It is recorded with each cell."""
    text = 'scenarios = ["healthy_biceps"]\n' + sweep("firmware", None, '["1.3.0-rc2"]')
    [cell] = cells_of(load(text), "here")
    assert cell.table()["values"] == {"firmware": "1.3.0-rc2"}


def test_a_sweep_that_a_scenario_or_a_rig_does_not_take_is_refused_before_anything_runs(
    load,
) -> None:
    """All of them, with scenario or rig, value and what is wrong."""
    text = 'scenarios = ["healthy_biceps", "no_such"]\n'
    text += sweep("x", "electrode.tip.q_mm", "[1, 2]")
    text += sweep("y", "rig.virtual.amplifier.gain", '["much"]')
    with pytest.raises(InputError) as info:
        cells_of(load(text), "night.toml")
    told = str(info.value)
    assert "night.toml" in told
    assert "scenario healthy_biceps with electrode.tip.q_mm=2: 1 mistake" in told
    assert "scenario no_such with" in told
    assert told.count("rig virtual with virtual.amplifier.gain") == 1


def test_the_digest_tells_whether_what_is_run_has_changed(load) -> None:
    """The same files give the same, another seed or value another one."""
    base = 'scenarios = ["healthy_biceps"]\n'
    variants = [base, base + "seeds = [9]\n", base + sweep("e", "phases.1.level_mvc", "[0.2]")]
    digests = [digest_of(cells_of(load(text), "here")) for text in variants]
    assert len(set(digests)) == 3
    assert digests[0] == digest_of(cells_of(load(base), "here"))


def test_a_number_in_a_path_names_one_of_a_list() -> None:
    """From 0 on; all others stay, and neither list nor table is changed."""
    table = {"a": [{"x": 1}, {"x": 2, "y": {"z": 3}}]}
    assert with_overrides(table, ["a.1.y.z=4", "a.0.x=5"]) == {
        "a": [{"x": 5}, {"x": 2, "y": {"z": 4}}]}  # fmt: skip
    assert table == {"a": [{"x": 1}, {"x": 2, "y": {"z": 3}}]}


@pytest.mark.parametrize("path", ["a.1.x", "a.-1.x", "a.first.x"])
def test_a_place_that_a_list_does_not_have_is_refused(path: str) -> None:
    """The message says which numbers there are."""
    with pytest.raises(UsageError, match="'a' has the numbers 0 to 0, got"):
        with_overrides({"a": [{"x": 1}]}, [f"{path}=2"])


def test_the_example_is_a_campaign() -> None:
    """What a reader copies loads with all its scenarios."""
    path = Path(__file__).parents[2] / "examples" / "nightly.toml"
    assert len(cells_of(load_campaign(path), str(path))) == 9
