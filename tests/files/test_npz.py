"""Recordings as .npz: what is written is read again, and hostile files are one clear error."""

import gc
import io
import json
import tokenize
import warnings
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from emgsim.errors import InputError
from emgsim.files.npz import read_npz, write_npz
from emgsim.recording import (
    Channel,
    Event,
    FibreTruth,
    Gap,
    MotorUnit,
    Recording,
    SpontaneousSource,
    Truth,
)

finite = st.floats(-1e6, 1e6)
names = st.text(st.characters(exclude_categories=["Cs"]), max_size=8)


@st.composite
def recordings(draw: st.DrawFn) -> Recording:
    """Draw a recording whose samples are representable in files, gaps as NaN."""
    n, channels = draw(st.integers(0, 20)), draw(st.integers(1, 3))
    samples = draw(hnp.arrays(np.float32, (n, channels), elements=st.floats(-1e5, 1e5, width=32)))
    first = draw(st.integers(0, n))
    gap = Gap(first_sample=first, n_samples=draw(st.integers(0, n - first)))
    samples[first : first + gap.n_samples] = np.nan
    band = st.none() | st.tuples(st.floats(0, 100), st.floats(100, 1e4))
    return Recording(
        samples_uv=samples.astype(np.float64),
        rate_hz=draw(st.floats(1e-3, 1e6)),
        channels=tuple(
            draw(st.builds(Channel, name=names, kind=names, reference=names, band_hz=band))
            for _ in range(channels)
        ),
        start_s=draw(finite),
        gaps=(gap,) if gap.n_samples else (),
    )


@st.composite
def fibre_truths(draw: st.DrawFn, n_discharges: int) -> FibreTruth:
    """Draw the arrivals of a few fibres at some discharges, the blocked ones as NaN."""
    fibre = np.array(sorted(draw(st.sets(st.integers(0, 99), max_size=3))), np.int64)
    is_blocked = draw(hnp.arrays(bool, (n_discharges, fibre.size)))
    arrival_s = np.where(is_blocked, np.nan, np.arange(fibre.size) * 1e-3)
    return FibreTruth(fibre=fibre, arrival_s=arrival_s, is_blocked=is_blocked)


@st.composite
def truths(draw: st.DrawFn) -> Truth:
    """Draw a truth with units of unlike lengths, silent ones among them."""
    channels = draw(st.integers(1, 3))
    ids = draw(st.lists(st.integers(0, 1000), max_size=4, unique=True))

    def unit(number: int) -> MotorUnit:
        times = draw(hnp.arrays(float, st.integers(0, 5), elements=st.floats(0, 1e3)))
        shape = (draw(st.integers(0, 6)), channels)
        return MotorUnit(
            id=number,
            muscle=draw(names),
            threshold=draw(st.floats(0, 1)),
            n_fibres=draw(st.integers(1, 500)),
            discharge_times_s=np.sort(times),
            muap_uv=draw(hnp.arrays(float, shape, elements=finite)),
            muap_start_s=draw(st.floats(-0.1, 0.1)),
            arrival_s=draw(st.floats(0, 0.1)),
            fibres=draw(st.none() | fibre_truths(times.size)),
        )

    def source(number: int) -> SpontaneousSource:
        n = draw(st.integers(0, 4))
        shape = (draw(st.integers(0, 6)), channels)
        return SpontaneousSource(
            name=draw(names),
            kind=draw(names),
            discharge_times_s=np.arange(n) / 7,
            gains=np.linspace(1, 0.5, n),
            unit_id=draw(st.none() | st.integers(0, 9)),
            potential_uv=draw(hnp.arrays(float, shape, elements=finite)),
            potential_start_s=draw(st.floats(-0.1, 0.1)),
        )

    effort = draw(hnp.arrays(float, st.integers(0, 5), elements=st.floats(0, 1)))
    return Truth(
        units=tuple(unit(number) for number in ids),
        muap_rate_hz=draw(st.floats(1, 1e6)),
        events=tuple(
            draw(
                st.lists(
                    st.builds(
                        Event,
                        kind=names,
                        onset_s=finite,
                        offset_s=finite,
                        grade=st.none() | finite,
                        source=names,
                    ),
                    max_size=2,
                )
            )
        ),
        effort_times_s=np.arange(effort.size) / 10,
        effort=effort,
        force=effort / 2,
        needle_path=tuple(draw(st.lists(st.dictionaries(names, finite, max_size=2), max_size=2))),
        spontaneous=tuple(source(number) for number in range(draw(st.integers(0, 2)))),
        needle=draw(st.dictionaries(names, finite, max_size=2)),
        conditions=tuple(draw(st.lists(names, max_size=2))),
    )


def same(got: tuple, expected: tuple) -> None:
    """Check that records of the truth are equal, field by field."""
    assert len(got) == len(expected)
    for one, other in zip(got, expected, strict=True):
        for name, value in vars(other).items() if other is not None else ():
            np.testing.assert_array_equal(getattr(one, name), value)


@given(recording=recordings(), truth=st.none() | truths())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
def test_a_recording_and_its_truth_come_back(tmp_path, recording, truth):
    """Samples to the bit of their float32, all else exactly, times to 1 ns."""
    path = tmp_path / "deep" / "er" / "r.npz"
    write_npz(path, recording, truth)
    back, back_truth = read_npz(path)
    np.testing.assert_array_equal(back.samples_uv, recording.samples_uv)
    assert back.samples_uv.dtype == np.float64
    assert (back.rate_hz, back.start_s) == (recording.rate_hz, recording.start_s)
    assert (back.channels, back.gaps) == (recording.channels, recording.gaps)
    if truth is None:
        assert back_truth is None
        return
    assert back_truth is not None
    for attribute in ("muap_rate_hz", "events", "needle", "needle_path", "conditions"):
        assert getattr(back_truth, attribute) == getattr(truth, attribute)
    np.testing.assert_array_equal(back_truth.effort_times_s, truth.effort_times_s)
    np.testing.assert_array_equal(back_truth.effort, truth.effort)
    np.testing.assert_array_equal(back_truth.force, truth.force)
    same(back_truth.spontaneous, truth.spontaneous)
    assert len(back_truth.units) == len(truth.units)
    for got, unit in zip(back_truth.units, truth.units, strict=True):
        for attribute in ("id", "muscle", "threshold", "n_fibres", "muap_start_s", "arrival_s"):
            assert getattr(got, attribute) == getattr(unit, attribute)
        np.testing.assert_array_equal(got.muap_uv, unit.muap_uv)
        assert (got.fibres is None) == (unit.fibres is None)
        same((got.fibres,), (unit.fibres,))
        np.testing.assert_allclose(got.discharge_times_s, unit.discharge_times_s, atol=1e-9, rtol=0)
        np.testing.assert_allclose(got.spike_times_s, unit.spike_times_s, atol=1e-9, rtol=0)


def test_two_writes_are_the_same_bytes(tmp_path):
    """No clock is in the file: a run's digest depends on its data alone."""
    recording = Recording(
        samples_uv=np.arange(9.0)[:, None], rate_hz=48e3, channels=(Channel(name="needle"),)
    )
    write_npz(tmp_path / "a.npz", recording)
    write_npz(tmp_path / "b.npz", recording)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_samples_and_rate_are_all_that_a_foreign_file_needs(tmp_path):
    """One column of integers without names is a recording of one unknown channel."""
    np.savez(tmp_path / "r.npz", samples_uv=np.arange(5, dtype=np.int16), rate_hz=2000)
    recording, truth = read_npz(tmp_path / "r.npz")
    assert truth is None
    assert recording.samples_uv.tolist() == [[0.0], [1.0], [2.0], [3.0], [4.0]]
    assert (recording.rate_hz, recording.start_s, recording.gaps) == (2000.0, 0.0, ())
    assert [(c.name, c.kind) for c in recording.channels] == [("channel 1", "unknown")]


def test_names_of_a_foreign_file_are_kept(tmp_path):
    """channel_names, as other tools write them, name the columns."""
    np.savez(
        tmp_path / "r.npz",
        samples_uv=np.zeros((3, 2)),
        rate_hz=1.0,
        channel_names=["left", "right"],
    )
    assert [c.name for c in read_npz(tmp_path / "r.npz")[0].channels] == ["left", "right"]


GOOD = {"samples_uv": np.zeros((5, 1)), "rate_hz": 1.0}
UNIT = {
    "id": 1,
    "muscle": "m",
    "threshold": 0.1,
    "n_fibres": 1,
    "muap_start_s": 0.0,
    "arrival_s": 0.0,
    "n_muap_samples": 1,
}


def truth_json(units: object) -> np.ndarray:
    """Return a truth's head with these units."""
    return np.array(
        json.dumps(
            {"units": units, "muap_rate_hz": 1.0, "events": [], "needle": {}, "conditions": []}
        )
    )


def known(reason: str, error: type[BaseException], *values: object):
    """Name a case that once slipped through."""
    return pytest.param(*values, id=f"{reason} ({error.__name__})")


@pytest.mark.parametrize(
    ("arrays", "said"),
    [
        ({"rate_hz": 1.0}, "lacks samples_uv"),
        ({"samples_uv": np.zeros((5, 1))}, "lacks rate_hz"),
        ({"other": 1}, "lacks samples_uv and rate_hz"),
        (GOOD | {"rate_hz": np.nan}, "rate_hz must be finite and > 0, got nan"),
        (GOOD | {"rate_hz": -1.0}, "rate_hz must be finite and > 0, got -1"),
        (GOOD | {"rate_hz": np.ones(2)}, "invalid recording"),
        (GOOD | {"samples_uv": np.zeros((2, 2, 2))}, "invalid recording"),
        (GOOD | {"samples_uv": np.array(["a", "b"])}, "invalid recording"),
        (GOOD | {"channel_names": np.array(["a", "b"])}, "channels: expected 1, got 2"),
        (GOOD | {"channels_json": np.array("{")}, "invalid recording"),
        (GOOD | {"channels_json": np.array('[{"nam": "x", "band_hz": null}]')}, "nam"),
        (GOOD | {"gaps": np.zeros((1, 3))}, "invalid recording"),
        (GOOD | {"truth_json": np.array("[")}, "invalid recording"),
        (GOOD | {"truth_json": np.array("{}")}, "units"),
        (GOOD | {"truth_json": truth_json([UNIT])}, "spike_times_s"),
        known(
            "a scalar has no shape[1]",
            IndexError,
            GOOD | {"samples_uv": np.array(5.0)},
            "samples_uv",
        ),
        known(
            "complex samples lose their imaginary part",
            Warning,
            GOOD | {"samples_uv": np.ones((2, 1), complex)},
            "complex",
        ),
        known(
            "a unit that is no table",
            AttributeError,
            GOOD | {"truth_json": truth_json([1])},
            "invalid recording",
        ),
        known(
            "fewer MUAPs than units",
            IndexError,
            GOOD
            | {
                "truth_json": truth_json([UNIT]),
                "spike_times_s": np.zeros(1),
                "spike_units": np.ones(1),
                "muaps_uv": np.zeros((0, 0, 1)),
            },
            "invalid recording",
        ),
        known(
            "spikes and units of unlike number",
            IndexError,
            GOOD
            | {
                "truth_json": truth_json([UNIT]),
                "spike_times_s": np.zeros(2),
                "spike_units": np.ones(3),
                "muaps_uv": np.zeros((1, 1, 1)),
            },
            "invalid recording",
        ),
    ],
)
def test_a_file_with_wrong_content_is_an_input_error(tmp_path, arrays, said):
    """Keys that lack or do not fit each other: what is wrong, and in which file."""
    path = tmp_path / "r.npz"
    np.savez(path, **arrays)
    with pytest.raises(InputError) as caught:
        read_npz(path)
    assert said in caught.value.what
    assert caught.value.where == str(path)
    assert caught.value.exit_code == 3


def a_zip() -> bytes:
    """Return the bytes of a good recording."""
    buffer = io.BytesIO()
    np.savez_compressed(
        buffer, samples_uv=np.random.default_rng(1).normal(size=(500, 1)), rate_hz=1.0
    )
    return buffer.getvalue()


def an_array() -> bytes:
    """Return the bytes of a bare .npy file."""
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(3))
    return buffer.getvalue()


def a_giant() -> bytes:
    """Return a small file whose header claims eight petabytes."""
    header, buffer = io.BytesIO(), io.BytesIO()
    np.lib.format.write_array_header_1_0(
        header, {"descr": "<f8", "fortran_order": False, "shape": (10**15, 1)}
    )
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("samples_uv.npy", header.getvalue())
    return buffer.getvalue()


def damaged(content: bytes, at: int) -> bytes:
    """Return the bytes with one of them set to 255."""
    return content[:at] + b"\xff" + content[at + 1 :]


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"time,uv\n0,1\n", id="text"),
        known("truncated: the file stays open", Warning, a_zip()[:-30]),
        known("head only: the file stays open", Warning, a_zip()[:100]),
        known("damaged deflate", zlib.error, damaged(a_zip(), 64)),
        known("damaged header", tokenize.TokenError, damaged(a_zip(), 149)),
        pytest.param(b"PK\x05\x06" + bytes(18), id="empty zip"),
        pytest.param(damaged(a_zip(), 2000), id="damaged in the samples"),
        known("an empty file", EOFError, b""),
        known("a bare array", TypeError, an_array()),
        known("a giant", MemoryError, a_giant()),
    ],
)
def test_a_file_that_is_no_recording_is_an_input_error(tmp_path, content):
    """Whatever the bytes are, the answer is exit code 3 with the path."""
    path = tmp_path / "r.npz"
    path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_npz(path)
    assert caught.value.where == str(path)
    assert caught.value.exit_code == 3
    del caught
    gc.collect()  # a file that was left open warns here, and warnings are errors


def test_a_damaged_byte_is_read_or_refused(tmp_path):
    """One wrong byte anywhere either does not matter or is an InputError, never a traceback."""
    path, content, surprises = tmp_path / "r.npz", a_zip(), {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)  # open files: see "truncated" above
        for at in [*range(300), *range(300, len(content), 101), *range(-200, 0)]:
            path.write_bytes(damaged(content, at % len(content)))
            try:
                read_npz(path)
            except InputError:
                pass
            except Exception as error:
                surprises[at] = type(error).__name__
        gc.collect()
    assert not surprises


def test_a_pickle_in_a_file_is_refused_and_not_run(tmp_path):
    """No file that a user loads can run code."""

    class Bomb:
        def __reduce__(self):
            return (Path.touch, (tmp_path / "ran",))

    np.savez(tmp_path / "r.npz", samples_uv=np.array([Bomb()], dtype=object), rate_hz=1.0)
    with pytest.raises(InputError, match="allow_pickle"):
        read_npz(tmp_path / "r.npz")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(("name", "said"), [("no.npz", "No such file"), (".", "directory")])
def test_a_path_that_is_no_file_is_an_input_error(tmp_path, name, said):
    """A missing file and a folder are named as such."""
    with pytest.raises(InputError, match=said) as caught:
        read_npz(tmp_path / name)
    assert caught.value.exit_code == 3
