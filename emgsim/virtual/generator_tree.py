"""The plain settings of the virtual generator: header, key and what the setting can hold."""

from __future__ import annotations

from emgsim.virtual.parameters import Choice, Kind, Number, Switch, Text

Row = tuple[str, str, Kind]

MAX_RATE_HZ = 250e6

CHANNEL_SETTINGS: tuple[Row, ...] = (
    ("OUTPut#[:STATe]", "output_on", Switch()),
    ("OUTPut#:POLarity", "polarity", Choice(("NORMal", "INVerted"), "NORM")),
    ("OUTPut#:MODE", "output_mode", Choice(("NORMal", "GATed"), "NORM")),
    ("OUTPut#:SYNC:MODE", "sync_mode", Choice(("NORMal", "CARRier", "MARKer"), "NORM")),
    ("OUTPut#:SYNC:POLarity", "sync_polarity", Choice(("NORMal", "INVerted"), "NORM")),
    ("[SOURce#:]VOLTage:RANGe:AUTO", "autorange", Switch(True)),
    ("[SOURce#:]PHASe[:ADJust]", "phase_deg", Number(-360, 360, 0, "DEG")),
    ("[SOURce#:]FREQuency:MODE", "frequency_mode",
     Choice(("CW", "FIXed", "LIST", "SWEep"), "CW")),
    ("[SOURce#:]FUNCtion:SQUare:DCYCle", "square_duty_pct", Number(0.01, 99.99, 50, "%")),
    ("[SOURce#:]FUNCtion:RAMP:SYMMetry", "ramp_symmetry_pct", Number(0, 100, 100, "%")),
    ("[SOURce#:]FUNCtion:PULSe:HOLD", "pulse_hold", Choice(("WIDTh", "DCYCle"), "WIDT")),
    ("[SOURce#:]FUNCtion:PULSe:TRANsition:LEADing", "leading_s",
     Number(8.4e-9, 1e-6, 1e-8, "S")),
    ("[SOURce#:]FUNCtion:PULSe:TRANsition:TRAiling", "trailing_s",
     Number(8.4e-9, 1e-6, 1e-8, "S")),
    ("[SOURce#:]FUNCtion:NOISe:BANDwidth", "noise_band_hz", Number(1e-3, 30e6, 1e5, "HZ")),
    ("[SOURce#:]FUNCtion:PRBS:BRATe", "prbs_rate", Number(1e-3, 50e6, 1000)),
    ("[SOURce#:]FUNCtion:PRBS:DATA", "prbs_data",
     Choice(("PN7", "PN9", "PN11", "PN15", "PN20", "PN23"), "PN7")),
    ("[SOURce#:]FUNCtion:ARBitrary:ADVance", "arb_advance", Choice(("TRIGger", "SRATe"), "SRAT")),
    ("[SOURce#:]FUNCtion:ARBitrary:FILTer", "arb_filter",
     Choice(("NORMal", "STEP", "OFF"), "NORM")),
    ("[SOURce#:]FUNCtion:ARBitrary:SRATe", "arb_rate_hz", Number(1e-6, 250e6, 40e3, "SA/S")),
    ("[SOURce#:]BURSt[:STATe]", "burst_on", Switch()),
    ("[SOURce#:]BURSt:MODE", "burst_mode", Choice(("TRIGgered", "GATed"), "TRIG")),
    ("[SOURce#:]BURSt:NCYCles", "burst_cycles",
     Number(1, 1e8, 1, infinite=True, integer=True)),
    ("[SOURce#:]BURSt:INTernal:PERiod", "burst_period_s", Number(1e-6, 8000, 0.01, "S")),
    ("[SOURce#:]BURSt:PHASe", "burst_phase_deg", Number(-360, 360, 0, "DEG")),
    ("[SOURce#:]BURSt:GATE:POLarity", "gate_polarity", Choice(("NORMal", "INVerted"), "NORM")),
    ("TRIGger#:SOURce", "trigger_source",
     Choice(("IMMediate", "EXTernal", "TIMer", "BUS"), "IMM")),
    ("TRIGger#:SLOPe", "trigger_slope", Choice(("POSitive", "NEGative"), "POS")),
    ("TRIGger#:DELay", "trigger_delay_s", Number(0, 1000, 0, "S")),
    ("TRIGger#:TIMer", "trigger_timer_s", Number(1e-6, 8000, 1, "S")),
    ("TRIGger#:COUNt", "trigger_count", Number(1, 1e6, 1, integer=True)),
    ("INITiate#:CONTinuous", "is_continuous", Switch(True)),
)  # fmt: skip
"""Settings that each channel has."""

INSTRUMENT_SETTINGS: tuple[Row, ...] = (
    ("FORMat:BORDer", "byte_order", Choice(("NORMal", "SWAPped"), "NORM")),
    ("OUTPut:SYNC[:STATe]", "sync_on", Switch(True)),
    ("OUTPut:SYNC:SOURce", "sync_source", Choice(("CH1", "CH2"), "CH1")),
    ("OUTPut:TRIGger[:STATe]", "trigger_out", Switch()),
    ("OUTPut:TRIGger:SLOPe", "trigger_out_slope", Choice(("POSitive", "NEGative"), "POS")),
    ("OUTPut:TRIGger:SOURce", "trigger_out_source", Choice(("CH1", "CH2"), "CH1")),
    ("UNIT:ANGLe", "angle_unit", Choice(("DEGree", "RADian", "SECond"), "DEG")),
    ("DISPlay[:STATe]", "display_on", Switch(True)),
    ("DISPlay:TEXT[:DATA]", "display_text", Text()),
    ("SYSTem:BEEPer:STATe", "beeper_on", Switch(True)),
)
"""Settings that the instrument has once."""

MAX_FREQUENCY_HZ = {"TRI": 200e3, "RAMP": 200e3}
"""Largest frequency of the functions that do not reach the full 30 MHz."""

_FUNCTIONS = ("SINusoid", "SQUare", "TRIangle", "RAMP", "PULSe", "PRBS", "NOISe", "ARBitrary", "DC")

LINKED_SETTINGS: tuple[Row, ...] = (
    ("[SOURce#:]FUNCtion[:SHAPe]", "function", Choice(_FUNCTIONS, "SIN")),
    ("[SOURce#:]FUNCtion:PULSe:PERiod", "period_s", Number(33e-9, 1e6, 1e-3, "S")),
    ("[SOURce#:]FUNCtion:PULSe:WIDTh", "pulse_width_s", Number(16e-9, 1e6, 1e-4, "S")),
    ("[SOURce#:]FUNCtion:PULSe:DCYCle", "pulse_duty_pct", Number(0.01, 99.99, 10, "%")),
    ("[SOURce#:]FUNCtion:PULSe:TRANsition[:BOTH]", "edges_s", Number(8.4e-9, 1e-6, 1e-8, "S")),
    ("[SOURce#:]FUNCtion:ARBitrary:FREQuency", "arb_frequency_hz",
     Number(1e-12, 30e6, 40, "HZ")),
    ("[SOURce#:]FUNCtion:ARBitrary:PERiod", "arb_period_s", Number(33e-9, 1e12, 0.025, "S")),
    ("[SOURce#:]VOLTage:UNIT", "unit", Choice(("VPP", "VRMS", "DBM"), "VPP")),
    ("[SOURce#:]VOLTage:LIMit:HIGH", "limit_high_v", Number(-10, 10, 10, "V")),
    ("[SOURce#:]VOLTage:LIMit:LOW", "limit_low_v", Number(-10, 10, -10, "V")),
    ("[SOURce#:]VOLTage:LIMit:STATe", "is_limited", Switch()),
    ("OUTPut#:LOAD", "load_ohm", Number(1, 10_000, 50, "OHM", infinite=True)),
)  # fmt: skip
"""Settings of a channel that act on others."""

LEVELS: tuple[tuple[str, str, str], ...] = (
    ("[SOURce#:]VOLTage[:LEVel][:IMMediate][:AMPLitude]", "amplitude", "vpp"),
    ("[SOURce#:]FUNCtion:ARBitrary:PTPeak", "amplitude", "vpp"),
    ("[SOURce#:]VOLTage[:LEVel][:IMMediate]:OFFSet", "offset_v", "offset"),
    ("[SOURce#:]VOLTage[:LEVel][:IMMediate]:HIGH", "high_v", "high"),
    ("[SOURce#:]VOLTage[:LEVel][:IMMediate]:LOW", "low_v", "low"),
)
"""Settings whose range depends on others: header, key and the name of the level."""
