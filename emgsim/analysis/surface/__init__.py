"""Measures of surface EMG: amplitude, spectrum, velocity, gaps, flexion-relaxation, biofeedback."""

from emgsim.analysis.surface.amplitude import amplitudes, envelope_uv, mvc_rms_uv, normalised
from emgsim.analysis.surface.biofeedback import Feedback
from emgsim.analysis.surface.fatigue import fatigue, trend
from emgsim.analysis.surface.filtering import band_passed
from emgsim.analysis.surface.flexion import Phases, flexion_relaxation, phases_of
from emgsim.analysis.surface.gaps import muscle_load
from emgsim.analysis.surface.heartbeat import without_heartbeat
from emgsim.analysis.surface.innervation import innervation_zone
from emgsim.analysis.surface.measuring import surface_measures
from emgsim.analysis.surface.spectrum import spectrum
from emgsim.analysis.surface.velocity import differential, muap_velocity, velocity

__all__ = [
    "Feedback",
    "Phases",
    "amplitudes",
    "band_passed",
    "differential",
    "envelope_uv",
    "fatigue",
    "flexion_relaxation",
    "innervation_zone",
    "muap_velocity",
    "muscle_load",
    "mvc_rms_uv",
    "normalised",
    "phases_of",
    "spectrum",
    "surface_measures",
    "trend",
    "velocity",
    "without_heartbeat",
]
