"""Spontaneous and insertional activity: what discharges without the patient's will.

Every kind is a mechanism on fibres at the needle. `activities.sources` turns a model of
`emgsim.physiology.parameters.spontaneous` into `source.Source` objects: fibres, when they
discharge, and how large. `field.source_wave_uv` says what an electrode hears of one discharge.
"""
