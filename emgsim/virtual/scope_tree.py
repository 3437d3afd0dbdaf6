"""What the virtual InfiniiVision can be set to: its command tree but for what needs the plant."""

from __future__ import annotations

from emgsim.virtual.parameters import Choice, Kind, Number, Switch, Text

Setting = tuple[str, str, Kind]
"""Pattern of its header, the name of its value, and what that can be."""


def settings(n_channels: int) -> tuple[Setting, ...]:
    """Return the settings that the scope has once."""
    channels = tuple(f"CHANnel{number}" for number in range(1, n_channels + 1))
    return (
        ("ACQuire:TYPE", "acquire_type",
         Choice(("NORMal", "HRESolution", "AVERage", "PEAK"), "HRES")),
        ("ACQuire:MODE", "acquire_mode", Choice(("RTIMe", "SEGMented"), "RTIM")),
        ("ACQuire:DIGitizer", "digitizer_on", Switch()),
        ("ACQuire:SRATe[:ANALog]:AUTO", "rate_auto", Switch(True)),
        ("ACQuire:COMPlete", "complete_pct", Number(100, 100, 100)),
        ("TIMebase:MODE", "timebase_mode", Choice(("MAIN", "WINDow", "XY", "ROLL"), "MAIN")),
        ("TIMebase:RANGe", "range_s", Number(1e-6, 500, 1e-3, "S")),
        ("TIMebase:POSition", "position_s", Number(-500, 500, 0, "S")),
        ("TIMebase:REFerence", "reference", Choice(("LEFT", "CENTer", "RIGHt"), "CENT")),
        ("TRIGger:MODE", "trigger_mode", Choice(("EDGE",), "EDGE")),
        ("TRIGger:SWEep", "sweep", Choice(("AUTO", "NORMal"), "AUTO")),
        ("TRIGger:HOLDoff", "holdoff_s", Number(4e-8, 10, 4e-8, "S")),
        ("TRIGger:NREJect", "noise_reject", Switch()),
        ("TRIGger:HFReject", "high_reject", Switch()),
        ("TRIGger[:EDGE]:SOURce", "trigger_source", Choice((*channels, "EXTernal"), "CHAN1")),
        ("TRIGger[:EDGE]:LEVel", "trigger_level_v", Number(-40, 40, 0, "V")),
        ("TRIGger[:EDGE]:SLOPe", "trigger_slope",
         Choice(("POSitive", "NEGative", "EITHer", "ALTernate"), "POS")),
        ("TRIGger[:EDGE]:COUPling", "trigger_coupling", Choice(("DC", "AC", "LFReject"), "DC")),
        ("TRIGger[:EDGE]:REJect", "trigger_reject", Choice(("OFF", "LFReject", "HFReject"), "OFF")),
        ("EXTernal:RANGe", "external_range_v", Number(1.6, 16, 8, "V")),
        ("EXTernal:PROBe", "external_probe", Number(0.001, 10_000, 1)),
        ("WAVeform:SOURce", "source", Choice(channels, "CHAN1")),
        ("WAVeform:FORMat", "form", Choice(("WORD", "BYTE", "ASCii"), "BYTE")),
        ("WAVeform:BYTeorder", "byte_order", Choice(("LSBFirst", "MSBFirst"), "MSBF")),
        ("WAVeform:UNSigned", "is_unsigned", Switch(True)),
        ("WAVeform:POINts:MODE", "points_mode", Choice(("NORMal", "MAXimum", "RAW"), "NORM")),
        ("SYSTem:HEADer", "header_on", Switch()),
    )  # fmt: skip


CHANNEL_SETTINGS: tuple[Setting, ...] = (
    ("CHANnel#:OFFSet", "offset_v", Number(-40, 40, 0, "V")),
    ("CHANnel#:COUPling", "coupling", Choice(("AC", "DC"), "DC")),
    ("CHANnel#:DISPlay", "is_shown", Switch(True)),
    ("CHANnel#:BWLimit", "is_band_limited", Switch()),
    ("CHANnel#:INVert", "is_inverted", Switch()),
    ("CHANnel#:IMPedance", "impedance", Choice(("ONEMeg", "FIFTy"), "ONEM")),
    ("CHANnel#:LABel", "label", Text()),
    ("CHANnel#:UNITs", "unit", Choice(("VOLT", "AMPere"), "VOLT")),
)
"""Settings that each channel has, besides its range and its probe."""
