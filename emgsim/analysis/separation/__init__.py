"""Motor units from high-density surface EMG, by separation of convolutive mixtures."""

from emgsim.analysis.separation.application import Filters, SurfaceStream
from emgsim.analysis.separation.decomposition import (
    SurfaceDecomposition,
    SurfaceUnit,
    decompose_surface,
)

__all__ = ["Filters", "SurfaceDecomposition", "SurfaceStream", "SurfaceUnit", "decompose_surface"]
