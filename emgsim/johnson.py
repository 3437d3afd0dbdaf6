"""The thermal noise of a resistance, the same at an electrode, in a divider and in a budget."""

BOLTZMANN_J_K = 1.380649e-23  # exact, SI 2019


def johnson_density_v2_hz(resistance_ohm: float, temperature_k: float) -> float:
    """Return the noise density of a resistance, ``4 k T R`` (Johnson; Nyquist 1928), V2/Hz.

    Examples
    --------
    >>> f"{1e9 * johnson_density_v2_hz(1e3, 290.0) ** 0.5:.1f} nV per root hertz"
    '4.0 nV per root hertz'
    """
    return 4 * BOLTZMANN_J_K * temperature_k * resistance_ohm
