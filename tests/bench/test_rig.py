"""Rig files: what may stand in them, and how every mistake is named at once."""

import tomllib
from pathlib import Path

import pytest

from emgsim.bench.rig import Rig, load_rig
from emgsim.errors import InputError, UsageError
from emgsim.shipped import find

BENCH = [
    'kind="bench"',
    'source.resource="TCPIP0::awg::INSTR"',
    'capture.resource="TCPIP0::scope::INSTR"',
    'device.resource="/dev/ttyACM0"',
]


def edited(path: Path, *changes: tuple[str, str]) -> Path:
    """Write the shipped virtual rig with lines replaced, and return its path."""
    text = find("rigs", "virtual").read_text("utf-8")
    for old, new in changes:
        assert old in text
        text = text.replace(old, new, 1)
    path.write_text(text, "utf-8")
    return path


def test_the_shipped_rig_loads_by_name_and_by_path(rig: Rig):
    """Both ways give the same rig."""
    assert load_rig(find("rigs", "virtual")) == rig
    assert rig.device_volts_per_open_volt == pytest.approx(10_010 / 10_060 / 1001, rel=1e-9)


def test_the_declared_fixture_agrees_with_the_true_one(rig: Rig):
    """The virtual rig's data sheet ratio is that of its own resistors."""
    assert rig.virtual is not None
    assert rig.fixture.ratio == pytest.approx(rig.virtual.fixture.ratio, rel=1e-9)
    assert rig.fixture.input_ohm == rig.virtual.fixture.input_ohm


def test_a_resolved_rig_is_plain_and_loads_again(rig: Rig, tmp_path: Path):
    """The copy in the record is complete: it gives the same rig."""
    import json

    copy = tmp_path / "rig.json"
    copy.write_text(json.dumps(rig.resolved()), "utf-8")
    assert load_rig(copy) == rig
    assert set(rig.resolved()) >= set(tomllib.loads(find("rigs", "virtual").read_text()))


def test_all_mistakes_are_named_at_once_with_the_nearest_names(tmp_path: Path):
    """Unknown keys at three depths, a missing one and two impossible values: six lines."""
    path = edited(
        tmp_path / "rig.toml",
        ("[limits]", "[limit]"),
        ("ratio = 0.000999000999", "ratoi = 0.001"),
        ("clock_ppm = 3.0", "clok_ppm = 3.0"),
        ("bits = 12", "bits = 40"),
        ("monitor_gain = 500.0", "monitor_gain = -1"),
    )
    with pytest.raises(InputError) as caught:
        load_rig(path)
    error = caught.value
    assert error.exit_code == 3
    assert error.where == str(path)
    assert error.what.startswith("6 mistakes:")
    for sentence in (
        "limit: unknown key; did you mean 'limits'?",
        "fixture.ratio: missing",
        "fixture.ratoi: unknown key; did you mean 'ratio'?",
        "virtual.source.clok_ppm: unknown key; did you mean 'clock_ppm'?",
        "capture.bits: input should be less than or equal to 16, got 40",
        "device.monitor_gain: input should be greater than 0, got -1",
    ):
        assert sentence in error.what


@pytest.mark.parametrize(
    ("override", "sentence"),
    [
        ("id=Virtual", "id: "),
        ("kind=real", "kind: "),
        ('schema="emgsim.rig/2"', "emgsim.rig/1"),
        ("limits.max_on_s=0", "limits.max_on_s: input should be greater than 0, got 0"),
        ("limits.source_v_pk=nan", "limits.source_v_pk: input should be a finite number, got nan"),
        ("fixture.ratio=1.1", "fixture.ratio: input should be less than or equal to 1, got 1.1"),
        ("source.load=low", "source.load: input should be 'high-z', got 'low'"),
        ("faults.drop_every_n_frames=-1", "faults.drop_every_n_frames: "),
        ("virtual.amplifier.rate_hz=0", "virtual.amplifier.rate_hz: "),
        ("source.resource=COM1", "must be 'virtual:source', got 'COM1'"),
        ("device.profile=na11", "device.profile: device 'na11' is neither a file"),
        ("device.profile=na11", "did you mean 'na1'?"),
        ("limits.device_differential_mv_pk=501", "at most the 500 mV that do NA-1 no damage"),
        ("fixture.clamp_v=0.6", "10 V reach the device when the divider falls out, and 0.5 V may"),
        ("fixture.certificate.due=2020-01-01", "due must be later than issued (2026-01-01)"),
        ("interlock.patient_connected=yes", "interlock.patient_connected: input should be"),
        ("interlock.require_arm=false", "interlock.require_arm: input should be True"),
        ("interlock.arm_valid_s=1e6", "interlock.arm_valid_s: "),
        ("interlock.unattended=true", "needs interlock.monitored_input, and a [switch]"),
        ("safe_state.order=[\"device.idle\"]", "order must begin with 'source.off'"),
        ("safe_state.fixture=short", "must be a state of the fixture, got 'short'"),
        ("fixture.states.through.input_ohm=1", "fixture.states.through"),
    ],
)
def test_an_impossible_value_is_refused(override: str, sentence: str):
    """Every value has its rule, and the message names the key."""
    with pytest.raises(InputError) as caught:
        load_rig("virtual", overrides=[override])
    assert sentence in caught.value.what


def test_a_bench_rig_has_no_virtual_resource():
    """A real rig that names a virtual instrument is a mistake; one that names none is not."""
    with pytest.raises(InputError, match="virtual resource, got 'virtual:source'"):
        load_rig("virtual", overrides=['kind="bench"'])
    assert load_rig("virtual", overrides=BENCH).kind == "bench"


def test_without_a_data_sheet_the_device_may_see_five_millivolts(tmp_path: Path):
    """Leaving the limit out gives the careful one."""
    path = edited(tmp_path / "rig.toml", ("device_differential_mv_pk = 8.0\n", ""))
    assert load_rig(path).limits.device_differential_mv_pk == 5.0


def test_an_override_changes_one_value_and_leaves_the_rest(rig: Rig):
    """A --set is seen in the resolved copy."""
    changed = load_rig("virtual", overrides=["limits.max_on_s=10"])
    assert changed.limits.max_on_s == 10
    assert changed.model_copy(update={"limits": rig.limits}) == rig


@pytest.mark.parametrize("override", ["limits.max_on_s", "=3", "id.x=3", ".=1"])
def test_a_malformed_override_is_wrong_use(override: str):
    """An override needs a path, an equals sign, and tables on the way."""
    with pytest.raises(UsageError, match="--set"):
        load_rig("virtual", overrides=[override])


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("no.toml", None, "rig file not found"),
        ("virtul", None, "did you mean 'virtual'?"),
        ("bad.toml", b"schema = ", "not valid TOML"),
        ("bad.json", b"{", "not valid JSON"),
        ("bytes.toml", b"\xff\xfe\x00", "cannot read the file"),
        ("empty.toml", b"", "mistakes"),
        ("list.json", b"[1, 2]", "not valid JSON: expected a table"),
    ],
)
def test_an_unreadable_rig_is_one_clear_error(tmp_path: Path, name, content, said):
    """Missing, misnamed, broken or empty: InputError with exit code 3."""
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError, match=r"mistake|not|cannot|neither") as caught:
        load_rig(path if "." in name else name)
    assert said in str(caught.value)
    assert caught.value.exit_code == 3
    assert caught.value.where


def test_a_rig_is_frozen(rig: Rig):
    """Nobody can raise a limit of a rig that is in use."""
    with pytest.raises(ValueError, match="frozen"):
        rig.limits.source_v_pk = 100.0


def test_a_rig_extends_another_and_says_only_what_differs(rig: Rig, tmp_path: Path):
    """A file beside it, or a shipped one by its name; tables are merged key by key."""
    files = {
        "base": 'extends = "virtual"\nid = "base"\n[limits]\nmax_on_s = 5\n',
        "own": 'extends = "base.toml"\nid = "own"\n[limits]\nsource_v_pk = 1\n',
    }
    for name, text in files.items():
        (tmp_path / f"{name}.toml").write_text(text)
    own = load_rig(tmp_path / "own.toml")
    assert (own.id, own.limits.max_on_s, own.limits.source_v_pk) == ("own", 5, 1)
    assert own.limits.device_differential_mv_pk == rig.limits.device_differential_mv_pk
    assert own.virtual == rig.virtual


def test_a_rig_that_extends_itself_is_refused(tmp_path: Path):
    """Going round in a circle ends with the names of all in it."""
    (tmp_path / "a.toml").write_text('extends = "b.toml"\nid = "a"\n')
    (tmp_path / "b.toml").write_text('extends = "a.toml"\nid = "b"\n')
    with pytest.raises(InputError, match=r"extends itself: a.toml -> b.toml"):
        load_rig(tmp_path / "a.toml")


def test_a_rig_that_extends_another_has_an_id_of_its_own(tmp_path: Path):
    """Two rigs under one name could not be told apart in a record."""
    (tmp_path / "a.toml").write_text('extends = "virtual"\n')
    with pytest.raises(InputError, match="must have an id of its own"):
        load_rig(tmp_path / "a.toml")


def test_mistakes_of_rig_and_profile_are_named_together(tmp_path: Path):
    """A value of the rig and one of the profile that it names: two lines, before any port opens."""
    profile = find("rigs/devices", "na1").read_text().replace("baud = 2000000", "baud = 0")
    (tmp_path / "mine.toml").write_text(profile)
    path = edited(tmp_path / "rig.toml", ('"na1"', '"mine.toml"'), ("bits = 12", "bits = 40"))
    with pytest.raises(InputError) as caught:
        load_rig(path)
    assert caught.value.what.startswith("2 mistakes:")
    assert "capture.bits" in caught.value.what
    assert "baud" in caught.value.what


def test_several_rules_between_parts_are_named_together():
    """Two resources that no virtual rig has are two mistakes."""
    with pytest.raises(InputError, match="2 mistakes") as caught:
        load_rig("virtual", overrides=["source.resource=A", "device.resource=B"])
    assert "source.resource of a virtual rig" in caught.value.what
    assert "device.resource of a virtual rig" in caught.value.what
