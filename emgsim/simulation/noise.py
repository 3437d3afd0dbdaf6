"""The noise that an electrode has by itself, as stages of a recording."""

from __future__ import annotations

from emgsim.artefacts.parameters import Artefact, LeadOff, SkinElectrode, Thermal
from emgsim.physiology.electrodes import impedance_ohm
from emgsim.physiology.parameters import surface
from emgsim.scenario import Scenario


def own_noise(scenario: Scenario) -> list[Artefact]:
    """Return the noise of a scenario's electrode, which its artefacts may name instead.

    Of metal in the muscle it is that of its spreading resistance, of a pad that of its contact with
    the skin; a pad that has lost the skin hums.
    """
    electrode = scenario.electrode
    named = {artefact.kind for artefact in scenario.artefacts}
    if isinstance(electrode, surface.SkinElectrode):
        found: list[Artefact] = []
        if "skin_electrode" not in named and electrode.noise_uv > 0:
            found.append(SkinElectrode(rms_uv=electrode.noise_uv))
        if electrode.lead_off:
            found.append(LeadOff(channels=electrode.lead_off))
        return found
    if "thermal" in named:
        return []
    resistance = impedance_ohm(electrode, 1e3, scenario.muscle.medium).real[:, 0]
    return [
        Thermal(resistance_ohm=float(ohm), channels=(channel,))
        for channel, ohm in enumerate(resistance)
    ]
