"""Drives a sound card: its first output as source, its inputs as capture, on one clock.

The address says which card, and what only a calibration can know::

    audio:NAME?rate_hz=96000&full_scale_v=1.31

``NAME`` is how PortAudio calls the device, or a part of it that no other one has
(``python -m sounddevice`` lists them). ``full_scale_v`` are the open-circuit volts of the largest
code: at the output for a source, at the input for a capture. ``rate_hz`` is the rate of both, since
there is one clock. On Linux only devices with ``(hw:`` in their name are opened: behind all others
stands a sound server, which mixes, scales and resamples without telling; ``via_server=1`` in the
address takes that risk.

Codes are 24 bits in the upper part of a 32-bit word. Whether the converter uses them all, and what
its output filter does, PortAudio cannot tell: see its data sheet. A sound card has no serial number
either; ``Identity`` holds PortAudio's host API, the device's name and PortAudio's version.

No direct voltage comes out of a sound card, nor goes in. Nothing but the process that plays keeps
the output on: there is nothing to send by which another one could switch it off, and nothing is
heard any more once the process has ended. Tested against a PulseAudio null sink only.
"""

from __future__ import annotations

import hashlib
import math
from types import TracebackType
from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray

from emgsim.errors import EmgsimError, InstrumentError, UsageError
from emgsim.instruments.base import API, Identity, SourceCaps, SourceSettings, UploadReceipt
from emgsim.instruments.sound_blocks import CODE_BITS, FULL_SCALE_CODE, SHIFT, Playback, Words
from emgsim.instruments.sound_streams import (
    MAX_POINTS,
    Card,
    CardAddress,
    join,
    leave,
    portaudio,
    read_address,
)

NOT_KNOWN_OHM = math.nan


class SoundCardSource:
    """Plays 24-bit waveforms from the first output, one burst per trigger.

    Use `open`. The stream runs from `arm` to `off` and carries silence but for the burst. Nothing
    can be sent that would switch the output off from another process: it dies with this one.
    """

    api: ClassVar[int] = API
    off_messages: ClassVar[tuple[str, ...]] = ()
    off_query: ClassVar[tuple[str, str]] = ("", "")

    def __init__(self, card: Card, address: CardAddress, *, timeout_s: float) -> None:
        self._card, self._address, self._timeout_s = card, address, timeout_s
        self._settings: SourceSettings | None = None
        self._words: Words | None = None

    @classmethod
    def open(cls, address: str, *, timeout_s: float = 5.0) -> Self:
        """Find the card and see that it has an output; nothing is played, no stream is opened."""
        known = read_address(address)
        card = join(known.name, known.rate_hz, "output")
        source = cls(card, known, timeout_s=timeout_s)
        try:
            source.identify()
        except BaseException:
            source.close()
            raise
        return source

    def identify(self) -> Identity:
        """Tell which device PortAudio found, and refuse a sound server that nobody allowed."""
        return self._card.identify("output", via_server=self._address.via_server)

    def reset(self) -> None:
        """Stop the output and forget settings and waveform."""
        self.off()
        self._settings, self._words = None, None

    @property
    def caps(self) -> SourceCaps:
        """Tell what this output can do: one rate, and volts up to its full scale.

        The output's resistance is not known (NaN); the rig file has it.
        """
        return SourceCaps(
            code_bits=CODE_BITS,
            max_points=MAX_POINTS,
            min_points=1,
            max_rate_hz=self._address.rate_hz,
            max_vpp_open_v=2 * self._address.full_scale_v,
            channels=1,
            output_ohm=NOT_KNOWN_OHM,
            min_rate_hz=self._address.rate_hz,
            holds=False,
        )

    def configure(self, settings: SourceSettings) -> SourceSettings:
        """Stop the output and return the settings, which a card takes as they are or not at all.

        A card has no amplifier to set: a smaller ``vpp_open_v`` plays smaller codes.

        Raises
        ------
        UsageError
            When the rate is another one than the card's, or there is a direct voltage, a load, a
            filter other than the card's own ("NORM"), or a swing beyond full scale.
        LinkError
            When the card refuses the rate.
        """
        _check_settings(settings, self._address)
        self.off()
        self._settings = None
        with self._card.as_link_error(f"play at {settings.rate_hz:g} Hz"):
            portaudio().check_output_settings(
                self._card.about("output")["index"], dtype="int32", samplerate=settings.rate_hz
            )
        self._settings = settings
        return settings

    def upload(
        self, name: str, volts: NDArray[np.float64], settings: SourceSettings
    ) -> UploadReceipt:
        """Round a waveform to codes of full scale and keep it; the output is stopped first.

        Parameters
        ----------
        name
            For the receipt.
        volts
            Open-circuit volts, (n_points,), within +-vpp/2.
        settings
            The settings that the waveform will be played with.

        Raises
        ------
        UsageError
            When the waveform is too long or empty, not finite, or would be clipped.
        """
        _check_settings(settings, self._address)
        _check_waveform(volts, settings)
        self.off()
        self._words, quantisation_rms_v = _coded(volts, self._address.full_scale_v)
        digest = hashlib.sha256(self._words.tobytes()).hexdigest()
        n_bytes = self._words.nbytes
        return UploadReceipt(name, volts.size, n_bytes, digest, 0, quantisation_rms_v)

    def arm(self) -> None:
        """Start the stream, silent; return when it runs."""
        settings, words = self._settings, self._words
        if settings is None or words is None:
            missing = "configure()" if settings is None else "upload()"
            raise UsageError(f"arm() needs {missing} before it", where=self._card.name)
        self._card.play(Playback(words, settings.cycles, settings.rate_hz), self._timeout_s)

    def trigger(self) -> None:
        """Start one burst with the next block that the card asks for."""
        self._card.trigger()

    def off(self) -> None:
        """Stop the stream at once, without a ramp, and see that it has stopped."""
        self._card.stop("output")
        if self._card.is_alive("output"):
            raise InstrumentError(
                "the output goes on after it was stopped",
                where=self._card.name,
                todo="pull the plug of the card's output",
            )

    def errors(self) -> tuple[str, ...]:
        """Tell and forget when the last burst was interrupted, in seconds from its trigger."""
        playback = self._card.playback
        return () if playback is None else playback.untold()

    def close(self) -> None:
        """Stop the stream and give the card back; closing twice is allowed."""
        leave(self._card, "output")

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.off()
        except EmgsimError as failure:
            if error is None:
                raise
            error.add_note(f"and the output could not be stopped: {failure.what}")
        finally:
            self.close()


def _check_settings(settings: SourceSettings, address: CardAddress) -> None:
    full_v = address.full_scale_v
    rules = (
        ("rate_hz", settings.rate_hz, settings.rate_hz == address.rate_hz,
         f"that of the card, {address.rate_hz:g} Hz: anything else would be resampled"),
        ("vpp_open_v", settings.vpp_open_v, 0 < settings.vpp_open_v <= 2 * full_v,
         f"in 0..{2 * full_v:g} V, twice the full scale"),
        ("offset_open_v", settings.offset_open_v, settings.offset_open_v == 0,
         "0 V: a sound card blocks direct voltage"),
        ("cycles", settings.cycles, settings.cycles >= 1, "at least 1"),
        ("load_ohm", settings.load_ohm, math.isinf(settings.load_ohm),
         "infinite: a sound card is not told its load"),
        ("filter", settings.filter, settings.filter == "NORM",
         "NORM: a sound card's own filter cannot be changed"),
    )  # fmt: skip
    for name, value, is_kept, rule in rules:
        if not is_kept:
            got = value if isinstance(value, str) else f"{value:g}"
            raise UsageError(f"{name} must be {rule}, got {got}", where=address.name)


def _check_waveform(volts: NDArray[np.float64], settings: SourceSettings) -> None:
    if volts.ndim != 1 or not 1 <= volts.size <= MAX_POINTS:
        raise UsageError(
            f"a waveform must be (1..{MAX_POINTS},) points, got {volts.shape}",
            todo=f"play at most {MAX_POINTS / settings.rate_hz:.6g} s at {settings.rate_hz:g} Hz",
        )
    if not np.isfinite(volts).all():
        raise UsageError("a waveform must be finite, got NaN or infinity")
    peak_v, limit_v = float(np.abs(volts).max()), settings.vpp_open_v / 2
    if peak_v > limit_v * (1 + 1e-9):  # the rounding of a level plan is no clipping
        raise UsageError(
            f"the waveform would be clipped: its peak is {peak_v:.6g} V, "
            f"the limit vpp/2 is {limit_v:.6g} V",
            todo="raise vpp_open_v or scale the waveform down",
        )


def _coded(volts: NDArray[np.float64], full_scale_v: float) -> tuple[Words, float]:
    """Round volts to words, and return the words and the rms of the rounding in volts."""
    exact = volts * (FULL_SCALE_CODE / full_scale_v)
    rounded = np.rint(exact)
    exact -= rounded
    rms_codes = math.sqrt(float(np.dot(exact, exact)) / exact.size)
    return rounded.astype(np.int32) << SHIFT, rms_codes * full_scale_v / FULL_SCALE_CODE
