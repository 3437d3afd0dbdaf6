"""Device profiles: the shipped one, and mistakes in others."""

from pathlib import Path

import pytest

from emgsim.errors import InputError
from emgsim.instruments.profiles import decoder_of, load_profile, profile_names

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


@pytest.mark.parametrize("name", sorted(profile_names()))
def test_every_shipped_profile_is_one_device(name):
    """It loads, and its scale and range belong together: a code is no more than the range."""
    profile = load_profile(name)
    assert profile.scale_uv_per_count < profile.range_uv
    assert profile.band_hz[1] <= profile.rate_hz / 2


def test_an_openbci_code_is_its_reference_over_gain():
    """4.5 V / 24 / (2^23 - 1), and a frame of 33 bytes, two for a sample with a Daisy."""
    for name, n_channels in (("cyton", 8), ("cyton_daisy", 16)):
        profile = load_profile(name)
        assert profile.scale_uv_per_count == pytest.approx(4.5e6 / 24 / (2**23 - 1), rel=1e-12)
        assert (profile.n_channels, profile.frame.frame_bytes) == (n_channels, 33)
        sent = [step.send for step in profile.frame.commands.setup[:-1]]
        letters = "12345678QWERTYUI"[:n_channels]
        assert sent == [f"x{letter}060110X" for letter in letters]
    profile = load_profile("freeeeg32")
    assert profile.scale_uv_per_count == pytest.approx(2.5e6 / 8 / (2**23 - 1), rel=1e-12)
    assert (profile.n_channels, profile.frame.frame_bytes) == (32, 99)


def test_channels_may_have_scales_of_their_own(tmp_path):
    """One factor for each channel, or none at all."""
    path = edited(tmp_path, "[frame]", "channel_scales = [2.0]\n[frame]")
    assert load_profile(path).scales_uv_per_count == pytest.approx([2 * 10000.0 / 2**23])
    path = edited(tmp_path, "[frame]", "channel_scales = [2.0, 1.0]\n[frame]")
    with pytest.raises(InputError, match="one for each of the 1 channels, got 2"):
        load_profile(path)


def test_a_device_sends_frames_or_lines(tmp_path):
    """Both at once are refused; of neither only its own driver knows what it sends."""
    lines = '\n[lines]\ncolumns = ["a"]\nchannels = ["a"]\n'
    with pytest.raises(InputError, match="a device sends one of them, got both"):
        load_profile(edited(tmp_path, 'terminator = "\\n"\n', lines))
    text = NA1.read_text(encoding="utf-8").partition("[frame]")[0]
    (tmp_path / "bare.toml").write_text(text, encoding="utf-8")
    with pytest.raises(InputError, match="does not describe what the device sends"):
        decoder_of(load_profile(tmp_path / "bare.toml"))


def test_an_answer_needs_an_end(tmp_path):
    """What is to be heard must be said to end."""
    path = edited(tmp_path, 'start = "START"', 'start = "START"\nidentified_by = "NA"')
    with pytest.raises(InputError, match="answer_end must be given"):
        load_profile(path)
