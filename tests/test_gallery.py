"""The gallery: its catalogue, its pictures and sounds, its truth, and the page that holds them."""

import base64
import io
import re
import tomllib
import wave
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from emgsim.cli import main
from emgsim.errors import UsageError
from emgsim.exhibits import Entry, entries, scenario_of, scenario_toml
from emgsim.gallery import gallery, triggered_s, truth_rows
from emgsim.recording import Channel, Event, MotorUnit, Recording, SpontaneousSource, Truth
from emgsim.report.gallery_page import (
    DIV_PX,
    LARGEST_CODE,
    SOUND_HZ,
    TALL,
    UP,
    Sweeps,
    drawn,
    scale_text,
    sound,
)
from emgsim.scenario import kinds, load_scenario

TWO = ("complex_repetitive_discharge", "pop")
MOST_BYTES = 25_000_000
FULL_UV = 200.0

# Milliseconds and microvolts per division at which each kind is read; issue 4.
CLINICAL = {
    ("fibrillation", "positive_sharp_wave", "end_plate_noise", "end_plate_spike",
     "trigger_point"): ((10, 10), (50, 100)),
    ("complex_repetitive_discharge", "fasciculation", "cramp"): ((20, 100), (200, 500)),
    ("myotonic_discharge", "myokymia", "neuromyotonia", "tremor"): ((200, 1000), (10, 1000)),
}
IN_A_RASTER = {"fibrillation", "complex_repetitive_discharge", "fasciculation", "myasthenia"}


def recording(samples_uv, rate_hz=48_000.0) -> Recording:
    """Return a recording of one channel."""
    samples = np.asarray(samples_uv, dtype=np.float64)[:, None]
    return Recording(samples_uv=samples, rate_hz=rate_hz, channels=(Channel(name="needle"),))


def one_sweep(start_s=0.0, *, sweep_s_div=0.01, gain_uv_div=50.0) -> Sweeps:
    """Return a single sweep."""
    return Sweeps(starts_s=(start_s,), sweep_s_div=sweep_s_div, gain_uv_div=gain_uv_div)


def points(lane) -> np.ndarray:
    """Return a line's places in the picture, shape ``(n, 2)``."""
    return np.array([[float(v) for v in one.split(",")] for one in lane["points"].split()])


def decoded(address: str) -> tuple[np.ndarray, int]:
    """Return the codes and the rate of a sound's data address."""
    kind, data = address.split(",", 1)
    assert kind == "data:audio/wav;base64"
    with wave.open(io.BytesIO(base64.b64decode(data))) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2"), file.getframerate()


class Page(HTMLParser):
    """The elements of each article of a page, and the text of its scenario."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.articles: dict[str, list[tuple[str, dict[str, str]]]] = {}
        self.toml: dict[str, str] = {}
        self.here = ""
        self.in_pre = False
        self.feed(text)

    def handle_starttag(self, tag, attrs) -> None:
        """Note an element, and to which article it belongs."""
        element = (tag, {key: value or "" for key, value in attrs})
        self.elements.append(element)
        if tag == "article":
            self.here = element[1]["id"]
            self.articles[self.here] = []
            self.toml[self.here] = ""
        elif self.here:
            self.articles[self.here].append(element)
        self.in_pre = tag == "pre"

    def handle_endtag(self, tag) -> None:
        """Leave the scenario where it ends."""
        self.in_pre = self.in_pre and tag != "pre"

    def handle_data(self, data) -> None:
        """Keep the scenario."""
        if self.in_pre:
            self.toml[self.here] += data


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> str:
    """Return the page with two exhibits, as the command writes it."""
    path = tmp_path_factory.mktemp("gallery") / "gallery.html"
    assert main(["gallery", "-o", str(path), "--only", *TWO]) == 0
    assert [one.name for one in path.parent.iterdir()] == ["gallery.html"]
    return path.read_text("utf-8")


@pytest.fixture(scope="module")
def page(written) -> Page:
    """Return what a browser would see of it."""
    return Page(written)


# ---- the catalogue -----------------------------------------------------------------------------


def test_every_kind_that_a_scenario_may_name_is_shown():
    """All activities, conditions and artefacts, but crosstalk, which needs a neighbour."""
    wanted = {name for of in ("activities", "conditions", "artefacts") for name in kinds(of)}
    assert wanted - {"crosstalk"} <= {entry.kind for entry in entries()}


def test_ids_are_unique_and_groups_stand_together():
    """An id is an address in the page, and a group one heading."""
    found = entries()
    assert len({entry.id for entry in found}) == len(found)
    groups = [entry.group for entry in found]
    changes = [after for before, after in pairwise(["", *groups]) if after != before]
    assert len(changes) == len(set(groups))


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_every_exhibit_names_its_kind_in_a_scenario_that_loads(entry):
    """The kind stands in the scenario, its seed is the gallery's, and it lasts 20 s at most."""
    scenario = scenario_of(entry, 7)
    listed = (*scenario.spontaneous, *scenario.conditions, *scenario.artefacts, *scenario.phases)
    assert entry.kind in {"healthy", *(one.kind for one in listed)}
    assert (scenario.id, scenario.seed) == (entry.id, 7)
    assert entry.start_s < scenario.duration_s <= 20.0
    assert len(entry.words.split()) >= 10


@pytest.mark.parametrize("entry", entries(), ids=lambda entry: entry.id)
def test_sweep_and_gain_are_those_at_which_the_kind_is_read(entry):
    """Issue 4's table, for the kinds that it names."""
    for names, ((low_ms, high_ms), (low_uv, high_uv)) in CLINICAL.items():
        if entry.kind in names:
            assert low_ms <= entry.sweep_ms_div <= high_ms
            assert low_uv <= entry.gain_uv_div <= high_uv


@pytest.mark.parametrize("kind", sorted(IN_A_RASTER))
def test_what_is_read_sweep_by_sweep_has_a_raster(kind):
    """Fibrillations, repetitive discharges, fasciculations and jitter are looked at like that."""
    assert all(entry.raster for entry in entries([kind]))


def test_the_scenario_is_written_as_it_was_meant():
    """What the catalogue says comes back from the text, over what all have in common."""
    entry = entries(["end_plate_spike"])[0]
    table = tomllib.loads(scenario_toml(entry, 3))
    assert table["spontaneous"] == entry.scenario["spontaneous"]
    assert table["electrode"] == {"tip": {"x_mm": 0.0, "y_mm": 0.0, "z_mm": 0.0}}
    assert table["phases"] == [{"kind": "rest", "duration_s": entry.seconds}]


def test_a_severity_that_is_not_the_default_is_said():
    """Where junctions are shown worse than a user's own would be, the words name both figures."""
    shown = [entry for entry in entries() if "safety_share" in str(entry.scenario)]
    assert {entry.kind for entry in shown} == {"lems", "myasthenia"}
    for entry in shown:
        (condition,) = scenario_of(entry, 1).conditions
        default = type(condition).model_fields["safety_share"].default
        assert f"{condition.safety_share:g}" in entry.words
        assert f"{default:g}" in entry.words


@pytest.mark.parametrize("changes", [{"seconds": None}, {"seconds": 2, "scenario": {"phases": []}}])
def test_an_exhibit_says_its_length_once(changes):
    """Rest of so many seconds, or phases."""
    table = {"id": "x", "kind": "x", "title": "x", "group": "x", "words": "x", "sweep_ms_div": 10,
             "gain_uv_div": 50, **changes}
    with pytest.raises(ValueError, match="x needs either seconds"):
        Entry(**table)


# ---- pictures ----------------------------------------------------------------------------------


def test_a_negative_spike_is_drawn_upward():
    """A spike of -100 uV stands two divisions of 50 uV above the baseline, y being downward."""
    samples_uv = np.zeros(4800)
    samples_uv[2400] = -100.0
    picture = drawn(recording(samples_uv), one_sweep())
    at = points(picture["lanes"][0])
    zero = picture["lanes"][0]["zero"]
    assert zero == UP * DIV_PX
    assert at[:, 1].min() == pytest.approx(zero - 2 * DIV_PX)
    assert at[:, 1].max() == pytest.approx(zero)
    assert at[at[:, 1].argmin(), 0] == pytest.approx(picture["width"] / 2, abs=2.0)


@given(place=st.integers(0, 47_999), size_uv=st.floats(-90, 90).filter(lambda v: abs(v) > 1))
def test_no_spike_of_one_sample_is_lost_at_a_slow_sweep(place, size_uv):
    """Each column keeps its smallest and its largest sample."""
    samples_uv = np.zeros(48_000)
    samples_uv[place] = size_uv
    lane = drawn(recording(samples_uv), one_sweep(sweep_s_div=0.1))["lanes"][0]
    away = points(lane)[:, 1] - lane["zero"]
    assert away[np.abs(away).argmax()] == pytest.approx(size_uv / 50 * DIV_PX, abs=0.1)


def test_what_is_taller_than_the_screen_is_marked():
    """At the edge that it leaves, and at no other."""
    samples_uv = np.zeros(4800)
    samples_uv[1200] = -1000.0
    lane = drawn(recording(samples_uv), one_sweep())["lanes"][0]
    assert lane["above"] == [pytest.approx(500.0, abs=8.0)]
    assert lane["below"] == []


def test_a_raster_has_its_sweeps_from_top_to_bottom():
    """Each sweep has a lane of its own, and all one gain."""
    sweeps = Sweeps(starts_s=(0.0, 0.1, 0.2), sweep_s_div=0.01, gain_uv_div=50.0)
    picture = drawn(recording(np.zeros(14_400)), sweeps)
    zeros = [lane["zero"] for lane in picture["lanes"]]
    assert [lane["start_s"] for lane in picture["lanes"]] == [0.0, 0.1, 0.2]
    assert np.diff(zeros) == pytest.approx([TALL * DIV_PX / 3] * 2, abs=0.1)
    assert picture["margin"] > 0


def test_a_scale_is_written_as_on_a_machine():
    """Milliseconds below a second, millivolts from a thousand microvolts on."""
    assert scale_text(0.01, 50.0) == "10 ms/div  50 µV/div"
    assert scale_text(1.0, 1000.0) == "1 s/div  1 mV/div"


def test_a_trigger_finds_each_discharge_and_leaves_what_is_too_small():
    """A sweep begins before each peak by the time that is asked for; a blocked one starts none."""
    samples_uv = np.zeros(48_000)
    samples_uv[[10_000, 20_000, 40_000]] = -100.0
    samples_uv[30_000] = -5.0
    times_s = np.array([10_010, 19_990, 30_000, 40_000]) / 48_000
    starts_s = triggered_s(recording(samples_uv), times_s, after_s=0.3, before_s=0.02)
    assert starts_s == pytest.approx([20_000 / 48_000 - 0.02, 40_000 / 48_000 - 0.02])
    assert triggered_s(recording(samples_uv), times_s, after_s=0.95, before_s=0.02) == [0.95]


# ---- sound -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", [10_000.0, 48_000.0, 96_000.0])
def test_a_sound_has_the_size_of_its_signal(rate_hz):
    """Its rms over the full scale is that of the signal, at any rate of the recording."""
    times_s = np.arange(int(rate_hz)) / rate_hz
    samples_uv = 80.0 * np.sin(2 * np.pi * 440.0 * times_s)
    codes, found_hz = decoded(sound(recording(samples_uv, rate_hz), full_scale_uv=FULL_UV))
    assert found_hz == SOUND_HZ
    assert codes.size == pytest.approx(SOUND_HZ, abs=1)
    heard_uv = codes / LARGEST_CODE * FULL_UV
    assert heard_uv.std() == pytest.approx(samples_uv.std(), rel=0.01)


def test_what_is_louder_than_the_screen_is_clipped_and_does_not_wrap():
    """A loudspeaker's limit keeps the sign."""
    codes, _ = decoded(sound(recording(np.full(4800, -900.0)), full_scale_uv=FULL_UV))
    assert codes[len(codes) // 2] == -LARGEST_CODE


# ---- truth -------------------------------------------------------------------------------------


def test_the_table_of_truth_is_computed_from_the_truth():
    """Kind, source, grade, span, rate and CoV of a source, a unit and an artefact, by hand."""
    spike = np.array([[0.0], [-30.0], [20.0]])
    times_s = np.array([0.0, 0.1, 0.2, 0.4])
    source = SpontaneousSource(
        name="fibrillation 0.0", kind="fibrillation", discharge_times_s=times_s,
        gains=np.full(4, 2.0), potential_uv=spike, potential_start_s=0.0)
    unit = MotorUnit(
        id=3, muscle="x", threshold=0.1, n_fibres=9, discharge_times_s=np.array([0.3, 0.4]),
        muap_uv=spike, muap_start_s=0.0, arrival_s=0.0)
    events = (Event(kind="fibrillation", onset_s=0.0, offset_s=0.5, grade=0.5, source=source.name),
              Event(kind="artefact.pop", onset_s=0.2, offset_s=0.3))
    truth = Truth(units=(unit,), muap_rate_hz=1e3, events=events, spontaneous=(source,))
    first, second, third = truth_rows(truth, scenario_of(entries(["pop"])[0], 1))
    assert (first.kind, first.source, first.grade) == ("fibrillation", "0.0, single fibres", "+/−")
    assert (first.n, first.onset_s, first.offset_s) == (4, 0.0, 0.5)
    assert (first.rate_hz, first.peak_to_peak_uv) == pytest.approx((10.0, 100.0))
    assert first.cov == pytest.approx(
        np.std([0.1, 0.1, 0.2], ddof=1) / np.mean([0.1, 0.1, 0.2]), abs=1e-6)
    assert (second.source, second.n, second.rate_hz) == ("motor unit 3, 9 fibres", 2, None)
    assert (third.kind, third.n, third.onset_s) == ("pop", 1, 0.2)


def test_an_artefact_that_lasts_stands_in_the_truth_too():
    """Hum has no event, since it neither begins nor ends."""
    truth = Truth(units=(), muap_rate_hz=48_000.0)
    rows = truth_rows(truth, scenario_of(entries(["mains"])[0], 1))
    assert [(row.kind, row.offset_s, row.n) for row in rows] == [("mains", 3.0, None)]


# ---- the page ----------------------------------------------------------------------------------


def test_the_page_is_one_file_that_asks_for_nothing_outside(written, page):
    """Every address is data or a place in the page, and a policy forbids the rest."""
    for _, attrs in page.elements:
        for name in ("src", "href", "action", "data", "poster"):
            assert re.match(r"data:|#|$", attrs.get(name, ""))
    assert not re.search(r"https?:|<script|<link|@import|url\(", written)
    policy = next(attrs["content"] for tag, attrs in page.elements
                  if tag == "meta" and "default-src" in attrs.get("content", ""))
    assert "default-src 'none'" in policy
    assert not re.search(r"https?|\*", policy)


@pytest.mark.parametrize("name", TWO)
def test_every_exhibit_has_picture_sound_and_truth(page, name):
    """A labelled picture with a line in it, a sound that decodes, and a table."""
    tags = page.articles[name]
    pictures = [attrs for tag, attrs in tags if tag == "svg"]
    lines = [attrs["points"] for tag, attrs in tags if tag == "polyline"]
    assert all(attrs["role"] == "img" and attrs["aria-label"] for attrs in pictures)
    assert len(pictures) >= 2
    assert all(len(line.split()) > 50 for line in lines)
    codes, _ = decoded(next(attrs["src"] for tag, attrs in tags if tag == "audio"))
    assert np.abs(codes).max() > 0.05 * LARGEST_CODE
    assert "table" in [tag for tag, _ in tags]


@pytest.mark.parametrize("name", TWO)
def test_the_scenario_on_the_page_can_be_copied_and_loaded(page, name, tmp_path):
    """What stands there makes a file that is the exhibit's scenario."""
    path = tmp_path / "copied.toml"
    path.write_text(page.toml[name], "utf-8")
    entry = next(entry for entry in entries() if entry.id == name)
    assert load_scenario(path) == scenario_of(entry, 1)


def test_every_exhibit_says_its_sweep_and_its_gain(written):
    """As on a machine's screen."""
    assert "50 ms/div  200 µV/div" in written
    assert "100 ms/div  200 µV/div" in written


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(written, tmp_path):
    """The page depends on its exhibits alone."""
    for seed, is_same in ((1, True), (2, False)):
        gallery(tmp_path / "again.html", only=TWO, seed=seed)
        assert ((tmp_path / "again.html").read_text("utf-8") == written) is is_same


def test_an_unknown_kind_is_wrong_use_and_the_nearest_is_named(tmp_path, capsys):
    """Exit code 2, and nothing is written."""
    path = tmp_path / "gallery.html"
    assert main(["gallery", "-o", str(path), "--only", "fibrilation"]) == 2
    assert "no kind 'fibrilation' in the gallery; did you mean 'fibrillation'?" in (
        capsys.readouterr().err)
    assert not path.exists()
    with pytest.raises(UsageError):
        entries(["tremor", "nonsense"])


def test_a_page_must_be_html(capsys, tmp_path):
    """Another ending is wrong use."""
    assert main(["gallery", "-o", str(tmp_path / "gallery.pdf"), "--only", "pop"]) == 2
    assert "-o must end in .html, got 'gallery.pdf'" in capsys.readouterr().err


@pytest.mark.slow
def test_the_whole_gallery_is_drawn_and_not_too_large(tmp_path):
    """All exhibits simulate, each has its truth, and the page stays below 25 MB."""
    path = tmp_path / "gallery.html"
    n = gallery(path)
    page = Page(path.read_text("utf-8"))
    assert n == len(page.articles) == len(entries())
    assert path.stat().st_size < MOST_BYTES
    for name, tags in page.articles.items():
        assert name == "rest" or "table" in [tag for tag, _ in tags], name
