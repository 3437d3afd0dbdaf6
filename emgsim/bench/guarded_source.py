"""The only way to a generator: energising calls pass the rig's limits, the safe state latches."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from emgsim.bench.rig import Rig
from emgsim.errors import EmgsimError, SafetyError
from emgsim.instruments.base import Identity, Source, SourceSettings, UploadReceipt

Floats = NDArray[np.float64]


@dataclass
class GuardedSource:
    """A generator behind the limits of its rig.

    A waveform is scanned before it is uploaded, playback is a finite number of cycles, and after
    `safe` nothing can be switched on again with this object: whoever still holds it, a thread that
    woke late or a ``finally`` clause, gets a `SafetyError`. Leaving the context makes it safe.
    """

    source: Source
    rig: Rig
    _latched: bool = field(default=False, init=False)
    _settings: SourceSettings | None = field(default=None, init=False)

    def identify(self) -> Identity:
        """Return who the generator says it is."""
        return self.source.identify()

    def load(self, volts: Floats, settings: SourceSettings) -> tuple[SourceSettings, UploadReceipt]:
        """Scan and upload a waveform and set the generator, its output staying off.

        Raises
        ------
        SafetyError
            If the waveform, played with these settings, would break a limit of the rig.
        """
        self._refuse_if_latched("load a waveform")
        self._settings = None
        self._scan(volts, settings)
        receipt = self.source.upload("emgsim", volts, settings)
        actual = self.source.configure(settings)
        self._scan(volts, actual, scale=actual.vpp_open_v / settings.vpp_open_v)
        self._settings = actual
        return actual, receipt

    def energise(self) -> None:
        """Switch the output on; the generator then waits for a trigger."""
        self._refuse_if_latched("switch the output on")
        if self._settings is None:
            raise SafetyError("the output may not be switched on before a waveform is loaded")
        self.source.arm()
        if self._latched:  # somebody made it safe while the generator was being armed
            self.source.off()
            self._refuse_if_latched("leave the output on")

    def trigger(self) -> None:
        """Start the playback."""
        self._refuse_if_latched("trigger")
        self.source.trigger()

    def safe(self) -> None:
        """Switch the output off, and keep it off."""
        self._latched = True
        self.source.off()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            self.safe()
        except EmgsimError as failure:
            if error is None:
                raise
            error.add_note(f"  and the output could NOT be confirmed off: {failure.what}")

    def _refuse_if_latched(self, action: str) -> None:
        if self._latched:
            raise SafetyError(
                f"refused to {action}: the source is latched in its safe state",
                where=f"rig {self.rig.id}",
                todo="begin a new run",
            )

    def _scan(self, volts: Floats, settings: SourceSettings, scale: float = 1.0) -> None:
        limits, where = self.rig.limits, f"rig {self.rig.id}"
        extremes_v = (float(volts.max()), -float(volts.min())) if volts.size else (np.nan,)
        if not np.all(np.isfinite(extremes_v)):  # what is no number is an extreme too
            raise SafetyError("refused a waveform that is empty or not finite", where=where)
        peak_v = scale * max(extremes_v) + abs(settings.offset_open_v)
        device_mv = peak_v * self.rig.device_volts_per_open_volt * 1e3
        on_s = volts.size / settings.rate_hz * settings.cycles
        rules = (
            (
                f"{device_mv:.4g} mV peak at the device",
                device_mv,
                limits.device_differential_mv_pk,
                "device_differential_mv_pk",
            ),
            (f"{peak_v:.4g} V peak at the source", peak_v, limits.source_v_pk, "source_v_pk"),
            (f"a playback of {on_s:.4g} s", on_s, limits.max_on_s, "max_on_s"),
        )
        for what, value, limit, name in rules:
            if not 0 <= value <= limit:
                raise SafetyError(
                    f"refused {what}: the limit is {limit:g}",
                    where=f"{where}, limits.{name}",
                    todo="nothing was played; change the scenario, or a limit that is wrong",
                )
