"""What a playback would do, as plain text for the terminal."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from emgsim.bench.budget import total_uv
from emgsim.bench.outlook import Outlook

GAP = "  "
MANY_HEAD = ("", "peak mV", "margin %", "source V", "kSa/s", "play s", "noise uV", "dB", "")


def outlook_text(outlook: Outlook) -> str:
    """Write volts, codes, times, noise and the verdict, ended by a line break."""
    return "\n".join(
        [
            f"rig {outlook.rig}, {outlook.program or 'a program'}: nothing is driven",
            *_assumption(outlook),
            "",
            *_nodes(outlook),
            "",
            *_figures(outlook),
            "",
            *_noise(outlook),
            "",
            verdict_line(outlook),
            "",
        ]
    )


def outlooks_text(outlooks: Mapping[str, Outlook]) -> str:
    """Write one row per muscle, the worst of all of them, and the verdict.

    Parameters
    ----------
    outlooks
        At least one, by the muscle's name.
    """
    rows = [_row(name, outlook) for name, outlook in outlooks.items()]
    first = next(iter(outlooks.values()))
    refused = [f"{name}: {r}" for name, outlook in outlooks.items() for r in outlook.refusals]
    worst = max(outlooks, key=lambda name: outlooks[name].used)
    play_s = sum(outlook.play_s for outlook in outlooks.values())
    wall_s = sum(outlook.wall_s for outlook in outlooks.values())
    verdict = (
        "\n".join(f"verdict: would be refused: {reason}" for reason in refused)
        or "verdict: would be played"
    )
    return "\n".join(
        [
            f"rig {first.rig}: nothing is driven",
            *_assumption(first),
            "",
            *_aligned([MANY_HEAD, *rows]),
            "",
            f"worst      {worst}: {100 * outlooks[worst].used:.3g} % of what the device may see",
            f"time       plays {play_s:.4g} s, at least {wall_s:.4g} s in all",
            verdict,
            "",
        ]
    )


def verdict_line(outlook: Outlook) -> str:
    """Write whether it would be played, or each reason why not."""
    if outlook.would_be_played:
        return "verdict: would be played"
    return "\n".join(f"verdict: would be refused: {reason}" for reason in outlook.refusals)


def volts(value_v: float) -> str:
    """Write a voltage with four digits in V, mV or uV.

    Examples
    --------
    >>> volts(1.00599), volts(0.00805), volts(-3.1e-8), volts(0.0)
    ('1.006 V', '8.05 mV', '-0.031 uV', '0 V')
    """
    size_v = abs(value_v)
    unit, factor = ("V", 1.0) if size_v >= 0.1 or not size_v else ("mV", 1e3)
    if 0 < size_v < 1e-4:
        unit, factor = "uV", 1e6
    return f"{value_v * factor:.4g} {unit}"


def _assumption(outlook: Outlook) -> list[str]:
    caps = outlook.caps
    told = f"{caps.max_points} points, {caps.code_bits} bits, {caps.max_vpp_open_v:g} Vpp"
    return [f"generator  {told} (as declared: it was not asked)"]


def _nodes(outlook: Outlook) -> list[str]:
    head = ("", "peak", "limit", "margin", "")
    rows = [
        (
            node.name,
            volts(node.peak_v),
            "" if node.limit_v is None else volts(node.limit_v),
            "" if node.margin_pct is None else f"{node.margin_pct:.1f} %",
            node.limit,
        )
        for node in outlook.nodes
    ]
    return _aligned([head, *rows])


def _figures(outlook: Outlook) -> list[str]:
    plan, caps, codes, signal = outlook.plan, outlook.caps, outlook.codes, outlook.signal
    return [
        f"points     {plan.n_points} at {plan.source_rate_hz / 1e3:g} kSa/s, "
        f"{100 * plan.n_points / caps.max_points:.3g} % of the memory",
        f"codes      generator {codes['source_bits']:.1f} of {caps.code_bits} bits, "
        f"{volts(codes['source_lsb_v'])} each, {volts(1e-6 * codes['source_lsb_at_device_uv'])} "
        f"at the device; device {codes['device_bits']:.1f} bits, "
        f"{volts(1e-6 * codes['device_lsb_uv'])} each",
        f"time       plays {outlook.play_s:.4g} s, at least {outlook.wall_s:.4g} s in all",
        f"signal     {volts(1e-6 * (signal['peak_uv'] or 0))} peak, "
        f"{volts(1e-6 * (signal['rms_uv'] or 0))} rms: {_db(outlook, 'device')} dB over the noise "
        f"at the device, {_db(outlook, 'loopback')} dB in the loopback",
    ]


def _noise(outlook: Outlook) -> list[str]:
    names = dict.fromkeys(
        str(row["name"]) for rows in outlook.budgets.values() for row in rows if row["name"]
    )
    names["total"] = names.pop("total")  # last, behind what only one of the paths has
    found = {
        path: {str(row["name"]): f"{float(row['uv_rms']):.3g}" for row in rows}
        for path, rows in outlook.budgets.items()
    }
    head = ("noise, uV rms", *outlook.budgets)
    rows = [(name, *(found[path].get(name, "") for path in outlook.budgets)) for name in names]
    return _aligned([head, *rows])


def _row(name: str, outlook: Outlook) -> tuple[str, ...]:
    source, device = outlook.nodes[0], outlook.at_device
    return (
        name,
        f"{1e3 * device.peak_v:.3g}",
        f"{100 * (1 - outlook.used):.1f}",
        f"{source.peak_v:.3g}",
        f"{outlook.plan.source_rate_hz / 1e3:g}",
        f"{outlook.play_s:.4g}",
        f"{total_uv(outlook.budgets['device']):.3g}",
        _db(outlook, "device"),
        "would be played" if outlook.would_be_played else "REFUSED",
    )


def _db(outlook: Outlook, path: str) -> str:
    value_db = outlook.signal[f"over_noise_{path}_db"]
    return "-" if value_db is None else f"{value_db:.1f}"


def _aligned(rows: Iterable[tuple[str, ...]]) -> list[str]:
    """Write columns of equal width: the first and the last stand to the left."""
    table = list(rows)
    widths = [max(len(row[i]) for row in table) for i in range(len(table[0]))]
    last = len(widths) - 1
    return [
        GAP.join(
            cell.ljust(width) if i == 0 or (i == last and last > 2) else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in table
    ]
