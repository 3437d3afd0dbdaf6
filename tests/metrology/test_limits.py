"""Limits: the device's own before the catalogue's, by the nearest id, and in the right unit."""

import re

import pytest

from emgsim.instruments.profiles import DeviceProfile, load_profile
from emgsim.metrology.limits import CATALOGUE, declared_spread_us, default_limits, limit_of
from emgsim.metrology.table import PROCEDURES
from emgsim.shipped import PACKAGE


@pytest.fixture(scope="module")
def device() -> DeviceProfile:
    """Load the reference amplifier."""
    return load_profile("na1")


def with_sheet(device: DeviceProfile, **rows: dict[str, object]) -> DeviceProfile:
    """Return the device with a data sheet of its own."""
    sheet = {name.replace("__", "."): row for name, row in rows.items()}
    return DeviceProfile.model_validate(device.model_dump(by_alias=True) | {"sheet": sheet})


def test_a_reading_of_a_channel_has_its_tests_limit(device: DeviceProfile):
    """And what is no test of ours has none."""
    one, four = limit_of("crosstalk", device), limit_of("crosstalk.ch4", device)
    assert one is not None
    assert four is not None
    assert (one.high, one.unit) == (four.high, four.unit) == (-60.0, "dB")
    assert limit_of("no.such.test", device) is None


def test_the_devices_own_data_sheet_goes_before_our_default(device: DeviceProfile):
    """With its clause as the source."""
    own = with_sheet(device, gain__accuracy={"low": -1.0, "high": 1.0, "unit": "%",
                                             "clause": "page 3"})
    limit = limit_of("gain.accuracy.ch2", own)
    assert limit is not None
    assert (limit.low, limit.high, limit.source) == (-1.0, 1.0, "data sheet, page 3")
    ours = limit_of("gain.stability", own)
    assert ours is not None
    assert ours.source.startswith("our default")


def test_the_nearest_row_holds(device: DeviceProfile):
    """One of a test's own goes before one of its family's."""
    own = with_sheet(device, cmrr={"low": 70.0, "unit": "dB"},
                     cmrr__balanced={"low": 95.0, "unit": "dB"})
    found = [limit_of(id, own) for id in ("cmrr.balanced.50hz", "cmrr.imbalance.50hz")]
    assert [limit.low for limit in found if limit is not None] == [95.0, 70.0]


def test_a_default_may_be_a_multiple_of_what_is_declared(device: DeviceProfile):
    """A corner within a tenth; a device that passes DC has no low one to judge."""
    limit = limit_of("freq.low_corner", device)
    assert limit is not None
    assert (limit.low, limit.high) == (9.0, 11.0)
    to_dc = device.model_copy(update={"band_hz": (0.0, 10_000.0), "highpass_order": 0})
    assert limit_of("freq.low_corner", to_dc) is None
    assert limit_of("step.tau", to_dc) is None


def test_the_declared_spread_of_group_delay_is_that_of_the_formula(device: DeviceProfile):
    """By pencil: a second-order high-pass delays by (sqrt 2 / w0) (1 + x^2) / (1 + x^4)."""
    x, w0 = 10.0, 2 * 3.141592653589793 * 10.0
    at_100_hz_us = 1e6 * 2**0.5 / w0 * (1 + x**2) / (1 + x**4)
    assert declared_spread_us(device) == pytest.approx(at_100_hz_us, rel=0.05)


@pytest.mark.parametrize("row", [{"unit": "%"}, {"low": 2.0, "high": 1.0, "unit": "%"}])
def test_a_row_that_limits_nothing_is_a_mistake(device: DeviceProfile, row: dict[str, object]):
    """Neither no bound, nor bounds that nothing is between."""
    with pytest.raises(ValueError, match="low"):
        with_sheet(device, gain__accuracy=row)


def test_every_default_says_where_it_comes_from():
    """A standard is named as what it was taken after; nobody claims conformity."""
    for id, row in default_limits().items():
        assert re.search(r"our default|after (IEC|AAMI|ISEK|SENIAM)", row.source), id
        assert not re.search(r"compl|conform", row.source), id
        assert row.low is not None or row.high is not None, id
    assert "no conformity" in CATALOGUE.read_text("utf-8")


def test_every_default_is_of_a_test_that_is_made():
    """A row that no test asks for is a name that was mistyped."""
    made = {procedure.id.partition(".")[0] for procedure in PROCEDURES}
    if made:
        assert {id.partition(".")[0] for id in default_limits()} <= made


def test_the_page_names_every_test():
    """Nobody asks for a test that no page tells of."""
    page = (PACKAGE.parent / "docs" / "metrology.md").read_text("utf-8")
    for procedure in PROCEDURES:
        assert f"`{procedure.id}`" in page, procedure.id


def test_a_promise_may_serve_requirements(device: DeviceProfile):
    """They go with the data sheet's limit; a default of ours serves none."""
    row = {"low": -1.0, "high": 1.0, "unit": "%", "requirement": "SRS-042"}
    limit = limit_of("gain.accuracy.ch2", with_sheet(device, gain__accuracy=row))
    assert limit is not None
    assert limit.requirements == ("SRS-042",)
    default = limit_of("gain.stability", device)
    assert default is not None
    assert default.requirements == ()
