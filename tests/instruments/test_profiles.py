"""Device profiles: the shipped one, and mistakes in others."""

from pathlib import Path

import pytest

from emgsim.errors import InputError
from emgsim.instruments.profiles import load_profile, profile_names

NA1 = Path(__file__).parents[2] / "rigs" / "devices" / "na1.toml"


def test_the_reference_amplifier_is_what_its_data_sheet_says():
    """Range, band, noise and frame are the published ones."""
    profile = load_profile("na1")
    assert (profile.maker, profile.model) == ("EMGSIM", "NA-1")
    assert profile.band_hz == (10.0, 10000.0)
    assert profile.scale_uv_per_count * 2**23 == profile.range_uv == 10000.0
    assert profile.frame.frame_bytes == 54
    assert profile.frame.sync_bytes == b"\xa5\x5a"
    assert profile == load_profile(NA1)
    assert "na1" in profile_names()


def edited(tmp_path, old, new):
    """Write a profile with one change, and return its path."""
    text = NA1.read_text(encoding="utf-8")
    assert old in text
    path = tmp_path / "edited.toml"
    path.write_text(text.replace(old, new), encoding="utf-8")
    return path


def test_all_mistakes_are_told_at_once_with_their_paths(tmp_path):
    """A wrong key in the frame and a wrong value at the top are in one message."""
    path = edited(tmp_path, 'sync = "A55A"', 'sinc = "A55A"')
    path.write_text(path.read_text().replace("noise_uv_rms = 0.6", "noise_uv_rms = -1.0"))
    with pytest.raises(InputError, match="noise_uv_rms") as e:
        load_profile(path)
    assert "frame.sync" in e.value.what
    assert "frame.sinc" in e.value.what
    assert e.value.where == str(path)


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("[10.0, 10000.0]", "[10.0, 30000.0]", "band_hz must rise"),
        ("[10.0, 10000.0]", "[100.0, 10.0]", "band_hz must rise"),
        ("emgsim.device/1", "emgsim.device/9", "schema"),
        ('sync = "A55A"', 'sync = "A5ZZ"', "frame.sync"),
        ('maker = "EMGSIM"', "maker = ", "cannot be read"),
    ],
)
def test_a_wrong_value_is_refused(tmp_path, old, new, told):
    """Each mistake is named by its key."""
    with pytest.raises(InputError, match=told):
        load_profile(edited(tmp_path, old, new))


def test_an_unknown_name_is_answered_with_the_nearest(tmp_path):
    """A slip of the finger gets a proposal."""
    with pytest.raises(InputError, match="'na-1'; did you mean 'na1'"):
        load_profile("na-1")


def test_a_missing_file_is_an_input_error(tmp_path):
    """A path is taken as it is."""
    with pytest.raises(InputError, match="cannot be read"):
        load_profile(tmp_path / "none.toml")
