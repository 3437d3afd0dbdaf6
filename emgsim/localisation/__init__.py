"""Where the lesion is: the places and diseases that explain the findings in several muscles."""

from emgsim.localisation.findings import MuscleFinding, SensoryFinding, muscle_finding
from emgsim.localisation.places import Lesion, lesions
from emgsim.localisation.search import Located, Reason, located, most_telling
from emgsim.localisation.table import localisation_table

__all__ = [
    "Lesion",
    "Located",
    "MuscleFinding",
    "Reason",
    "SensoryFinding",
    "lesions",
    "localisation_table",
    "located",
    "most_telling",
    "muscle_finding",
]
