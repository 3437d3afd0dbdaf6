"""The one command of a Quattrocento: 40 bytes that set everything, and start or stop the stream.

Source: OT Bioelettronica, *Quattrocento configuration protocol* v1.7 (2022)::

    1       ACQ_SETT       1 | decimator | trigger out | rate (2 bits) | inputs (2) | acquire
    2, 3    AN_OUT         which channel the analogue output repeats, and its gain
    4-27    IN1 to IN8     three bytes each: muscle | sensor, adapter | side, filters, detection
    28-39   MULTIPLE IN1 to IN4      the same
    40      CRC            of the 39 bytes before

The protocol does not say what CRC that is. That of all published clients (QuattrocentoLSLApp,
Biosignal-Device-Interface) is the one of 1-Wire: x^8 + x^5 + x^4 + 1, begun with 0, least
significant bit first.
"""

from __future__ import annotations

from collections.abc import Sequence

from emgsim.errors import InputError

RATES_HZ = (512.0, 2048.0, 5120.0, 10240.0)  # all choices by their code
HIGHPASS_HZ = (0.7, 10.0, 100.0, 200.0)
LOWPASS_HZ = (130.0, 500.0, 900.0, 4400.0)
INPUT_CHANNELS = (96, 192, 288, 384)  # two IN of 16 and one MULTIPLE IN of 64 for each step
REAR_CHANNELS = 24  # 16 of AUX IN and 8 accessory ones, which come with each sample
POLYNOMIAL = 0x8C  # x^8 + x^5 + x^4 + 1 without its highest term, its bits reversed
N_SOCKETS = 12  # IN1 to IN8, MULTIPLE IN1 to IN4

_FIXED = 0x80
_ACQUIRE = 0x01


def crc8(data: bytes) -> int:
    """Return the CRC that ends a command."""
    crc = 0
    for byte in data:
        crc ^= byte
        for _ in range(8):
            crc = crc >> 1 ^ (POLYNOMIAL if crc & 1 else 0)
    return crc


def command(
    rate_hz: float, n_channels: int, band_hz: tuple[float, float], *, acquires: bool
) -> bytes:
    """Return the command that sets all inputs alike, monopolar, and starts or stops the stream.

    The decimator is off: what is asked for is what the converter runs at.

    Parameters
    ----------
    rate_hz
        One of `RATES_HZ`.
    n_channels
        Of the inputs, without those on the rear: one of `INPUT_CHANNELS`.
    band_hz
        One of `HIGHPASS_HZ`, and one of `LOWPASS_HZ`.
    acquires
        Whether it streams from then on.

    Raises
    ------
    InputError
        If a Quattrocento has no such rate, number of channels, or filter; its choices are listed.
    """
    inputs = _code("channels", n_channels, INPUT_CHANNELS)
    settings = _FIXED | _code("rate_hz", rate_hz, RATES_HZ) << 3 | inputs << 1
    highpass = _code("band_hz[0]", band_hz[0], HIGHPASS_HZ)
    lowpass = _code("band_hz[1]", band_hz[1], LOWPASS_HZ)
    socket = bytes([0, 0, highpass << 4 | lowpass << 2])
    content = bytes([settings | (_ACQUIRE if acquires else 0), 0, 0]) + N_SOCKETS * socket
    return content + bytes([crc8(content)])


def _code(name: str, value: float, choices: Sequence[float]) -> int:
    if value not in choices:
        raise InputError(
            f"{name} of a Quattrocento must be one of "
            f"{', '.join(f'{choice:g}' for choice in choices)}, got {value:g}",
            where="device profile",
            todo="correct the profile",
        )
    return choices.index(value)
