"""What the virtual Siglent oscilloscope can be set to that does nothing but hold its value."""

from __future__ import annotations

from emgsim.virtual.siglent_scope_record import MEMORY_POINTS
from emgsim.virtual.siglent_scope_values import ON_OFF, Kind, Quoted, Real, Whole, Word

CHANNELS = ("C1", "C2")

SETTINGS: tuple[tuple[str, str, Kind], ...] = (
    ("ACQuire:AMODe", "fast_mode", Word(("FAST", "SLOW"), "FAST")),
    ("ACQuire:INTerpolation", "interpolation", Word(ON_OFF, "ON")),
    ("ACQuire:MODE", "plot_mode", Word(("YT", "XY", "ROLL"), "YT")),
    ("ACQuire:NUMAcq", "count", Whole(1, 1_000_000, 1)),
    ("ACQuire:RESolution", "resolution", Word(("8Bits", "10Bits"), "8Bits")),
    ("ACQuire:SEQuence", "sequence", Word(ON_OFF, "OFF")),
    ("ACQuire:SEQuence:COUNt", "segments", Whole(1, 1000, 1)),
    ("TIMebase:SCALe", "s_per_div", Real(1e-9, 1000, 1e-6, has_steps=True)),
    ("TIMebase:DELay", "delay_s", Real(-1e4, 1e4, 0)),
    ("TIMebase:REFerence", "reference", Word(("DELay", "POSition"), "DELay")),
    ("TIMebase:REFerence:POSition", "position_pct", Whole(0, 100, 50)),
    ("TIMebase:WINDow", "window", Word(ON_OFF, "OFF")),
    ("TIMebase:WINDow:DELay", "window_delay_s", Real(-5e5, 5e5, 0)),
    ("TIMebase:WINDow:SCALe", "window_s_per_div", Real(1e-9, 1000, 1e-7, has_steps=True)),
    ("TRIGger:TYPE", "trigger_type", Word(("EDGE",), "EDGE")),
    ("TRIGger:EDGE:COUPling", "coupling", Word(("DC", "AC", "LFREJect", "HFREJect"), "DC")),
    ("TRIGger:EDGE:HLDEVent", "holdoff_events", Whole(1, 100_000_000, 1)),
    ("TRIGger:EDGE:HLDTime", "holdoff_s", Real(8e-9, 30, 8e-9)),
    ("TRIGger:EDGE:HOLDoff", "holdoff", Word(("OFF", "EVENts", "TIME"), "OFF")),
    ("TRIGger:EDGE:HSTart", "holdoff_start", Word(("LAST_TRIG", "ACQ_START"), "LAST_TRIG")),
    ("TRIGger:EDGE:IMPedance", "impedance", Word(("ONEMeg", "FIFTy"), "ONEMeg")),
    ("TRIGger:EDGE:NREJect", "noise_reject", Word(ON_OFF, "OFF")),
    ("TRIGger:EDGE:SLOPe", "slope", Word(("RISing", "FALLing", "ALTernate"), "RISing")),
    ("WAVeform:SOURce", "source", Word(CHANNELS, "C1")),
    ("WAVeform:STARt", "start", Whole(0, MEMORY_POINTS, 0)),
    ("WAVeform:INTerval", "interval", Whole(1, MEMORY_POINTS, 1)),
    ("WAVeform:POINt", "point", Whole(0, MEMORY_POINTS, 0)),
    ("WAVeform:WIDTh", "width", Word(("BYTE", "WORD"), "BYTE")),
    ("WAVeform:BYTeorder", "byte_order", Word(("LSB", "MSB"), "LSB")),
)
"""Settings that the oscilloscope has once, and that do nothing but hold their value."""

CHANNEL_SETTINGS: tuple[tuple[str, str, Kind], ...] = (
    ("CHANnel#:OFFSet", "offset_v", Real(-100, 100, 0)),
    ("CHANnel#:COUPling", "coupling", Word(("DC", "AC", "GND"), "DC")),
    ("CHANnel#:SWITch", "switch", Word(ON_OFF, "ON")),
    ("CHANnel#:VISible", "visible", Word(ON_OFF, "ON")),
    ("CHANnel#:BWLimit", "limit", Word(("FULL", "20M", "200M", *ON_OFF), "FULL")),
    ("CHANnel#:INVert", "invert", Word(ON_OFF, "OFF")),
    ("CHANnel#:IMPedance", "impedance", Word(("ONEMeg", "FIFTy"), "ONEMeg")),
    ("CHANnel#:LABel", "label", Word(ON_OFF, "OFF")),
    ("CHANnel#:LABel:TEXT", "label_text", Quoted("")),
    ("CHANnel#:UNIT", "unit", Word(("V", "A"), "V")),
)
"""Settings that each channel has, besides its scale and its probe."""
