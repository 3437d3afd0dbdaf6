"""From a scenario to a recording with its exact truth, whole or block by block."""

from emgsim.simulation.blocks import BLOCK_S, Simulation, channels_of, lasting, simulate
from emgsim.simulation.patients import patient_of

__all__ = ["BLOCK_S", "Simulation", "channels_of", "lasting", "patient_of", "simulate"]
