"""Electrodes in place: their surfaces, how the shaft turns and tilts them, impedance and noise."""

from __future__ import annotations

import re
import tomllib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from emgsim.johnson import johnson_density_v2_hz
from emgsim.physiology.electrodes import (
    channels,
    hubward,
    impedance_ohm,
    positions_mm,
    recording_channels,
    surfaces_mm2,
)
from emgsim.physiology.parameters import (
    ConcentricNeedle,
    ElectrodeKind,
    FineWire,
    Macro,
    Medium,
    Monopolar,
    SingleFibre,
    ThinFilm,
    TipPosition,
)
from emgsim.physiology.parameters.surface import SurfaceKind
from emgsim.physiology.potential import Electrode, Line, difference
from emgsim.physiology.surface.montage import montage_matrix
from emgsim.shipped import PACKAGE

KINDS: list[ElectrodeKind] = [
    ConcentricNeedle(),
    Monopolar(),
    SingleFibre(),
    Macro(),
    FineWire(),
    ThinFilm(),
    ThinFilm(montage="differential"),
]
IDS = [f"{kind.kind} {getattr(kind, 'montage', '')}".strip() for kind in KINDS]
ONE_OF: TypeAdapter[ElectrodeKind] = TypeAdapter(ElectrodeKind)
SKIN: TypeAdapter[SurfaceKind] = TypeAdapter(SurfaceKind)
SKIN_KINDS = ("surface_bipolar", "belly_tendon", "surface_grid", "surface_pads")
CATALOGUE = PACKAGE / "catalogue" / "electrodes.toml"
PLACE = np.array([1.0, -2.0, 3.0])
ANGLE_DEG = st.floats(-180.0, 180.0)
ANY_TIP = st.builds(
    TipPosition,
    x_mm=st.floats(-5, 5),
    y_mm=st.floats(-5, 5),
    z_mm=st.floats(-20, 20),
    rotation_deg=ANGLE_DEG,
    tilt_deg=st.floats(0.0, 80.0),
    tilt_azimuth_deg=ANGLE_DEG,
)


def tip(**turns_deg: float) -> TipPosition:
    """Return a position away from the origin, turned or tilted."""
    return TipPosition(x_mm=1.0, y_mm=-2.0, z_mm=3.0, **turns_deg)


def about(electrode: Electrode) -> np.ndarray:
    """Return an electrode's points from its place, shape ``(n, 3)``."""
    return electrode.points_mm - PLACE


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_an_electrode_records_one_unit_of_potential_against_its_reference(
    kind: ElectrodeKind,
) -> None:
    """What records weighs +1 in all, and a reference that is not remote -1."""
    for electrode, channel in zip(channels(kind, tip()), recording_channels(kind), strict=True):
        weights = np.concatenate([electrode.weights, [line.weight for line in electrode.lines]])
        assert weights[weights > 0].sum() == pytest.approx(1.0)
        reference = 0.0 if channel.reference == "remote" else -1.0
        assert weights[weights < 0].sum() == pytest.approx(reference)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_what_records_lies_about_the_position(kind: ElectrodeKind) -> None:
    """The recording surfaces of all channels together have their centre there."""
    centres = []
    for electrode in channels(kind, tip()):
        if electrode.weights.size:
            recording = electrode.weights > 0
            centres.append(electrode.weights[recording] @ electrode.points_mm[recording])
        if isinstance(kind, FineWire):
            middles = [ln.start_mm + ln.length_mm / 2 * ln.direction for ln in electrode.lines]
            centres.append(np.mean(middles, axis=0))
    if isinstance(kind, ThinFilm) and kind.montage == "differential":
        centres.append(PLACE + np.array([0.0, (kind.n_contacts - 1) / 2 * kind.pitch_mm, 0.0]))
    np.testing.assert_allclose(np.mean(centres, axis=0), PLACE, atol=1e-9)


def test_the_core_is_an_ellipse_of_equal_facets_about_the_tip() -> None:
    """Second moments are those of a uniform ellipse: semi-axis squared over 4."""
    (electrode,) = channels(ConcentricNeedle(), tip())
    offset, weights = about(electrode), electrode.weights
    np.testing.assert_allclose(weights @ offset, 0.0, atol=1e-12)
    short2 = weights @ offset[:, 2] ** 2
    long2 = weights @ (offset[:, 0] ** 2 + offset[:, 1] ** 2)
    assert short2 == pytest.approx((0.150 / 2) ** 2 / 4, rel=1e-9)
    assert long2 == pytest.approx((0.580 / 2) ** 2 / 4, rel=3e-3)  # 150 x 580 um, IFCN 2020


def test_the_bevel_faces_plus_x_and_its_heel_is_up_the_shaft_on_that_side() -> None:
    """Its normal leans to +x and away from the hub; the cannula stands behind it, on the axis."""
    (electrode,) = channels(ConcentricNeedle(), tip())
    _, _, directions = np.linalg.svd(about(electrode), full_matrices=True)
    normal = directions[2] * np.sign(directions[2][0])
    bevel = np.radians(15)
    np.testing.assert_allclose(normal, [np.cos(bevel), -np.sin(bevel), 0.0], atol=1e-12)
    (cannula,) = electrode.lines
    heel_mm = 0.46 / np.tan(np.radians(15)) / 2
    np.testing.assert_allclose(cannula.start_mm, PLACE + np.array([0.0, heel_mm, 0.0]))
    assert (cannula.length_mm, cannula.radius_mm, cannula.weight) == (15.0, 0.23, -1.0)


@given(where=ANY_TIP, kind=st.sampled_from(KINDS))
@settings(max_examples=60, deadline=None)
def test_a_shaft_turns_as_one_piece(where: TipPosition, kind: ElectrodeKind) -> None:
    """Rotation and tilt keep all distances, and every line runs up the shaft."""
    upright = TipPosition(x_mm=where.x_mm, y_mm=where.y_mm, z_mm=where.z_mm)
    for turned, plain in zip(channels(kind, where), channels(kind, upright), strict=True):
        places, plain_places = (
            np.concatenate([e.points_mm, *[line.start_mm[None] for line in e.lines]])
            for e in (turned, plain)
        )
        distances, plain_distances = (
            np.linalg.norm(p[:, None] - p[None], axis=-1) for p in (places, plain_places)
        )
        np.testing.assert_allclose(distances, plain_distances, atol=1e-9)
        for line in turned.lines:
            np.testing.assert_allclose(line.direction, hubward(where), atol=1e-12)


@pytest.mark.parametrize(
    ("turns_deg", "shaft", "facing"),
    [
        ({}, [0, 1, 0], [1, 0, 0]),
        ({"rotation_deg": 90}, [0, 1, 0], [0, 0, 1]),
        ({"rotation_deg": -90}, [0, 1, 0], [0, 0, -1]),
        ({"tilt_azimuth_deg": 55}, [0, 1, 0], [1, 0, 0]),
        ({"tilt_deg": 30}, [0.5, np.sqrt(0.75), 0], [np.sqrt(0.75), -0.5, 0]),
        ({"tilt_deg": 30, "tilt_azimuth_deg": 90}, [0, np.sqrt(0.75), 0.5], [1, 0, 0]),
    ],
)
def test_rotation_and_tilt_mean_what_they_say(
    turns_deg: dict[str, float], shaft: list[float], facing: list[float]
) -> None:
    """By pencil: where the shaft points, and where a side port of it faces."""
    (electrode,) = channels(SingleFibre(), tip(**turns_deg))
    np.testing.assert_allclose(electrode.lines[0].direction, shaft, atol=1e-12)
    np.testing.assert_allclose(about(electrode) @ facing, 0.0, atol=1e-12)
    foot = PLACE - electrode.lines[0].start_mm
    np.testing.assert_allclose(foot, 0.25 * np.array(facing) + 3.0 * np.array(shaft), atol=1e-12)


def test_the_monopolar_cone_lies_on_its_shaft() -> None:
    """Half a millimetre long, 0.30 mm wide at its base, and thinner towards the tip."""
    (electrode,) = channels(Monopolar(), tip())
    offset = about(electrode)
    radius_mm = np.hypot(offset[:, 0], offset[:, 2])
    height_mm = offset[:, 1] - offset[:, 1].min()
    assert 0.3 < np.ptp(offset[:, 1]) < 0.5
    np.testing.assert_allclose(np.diff(radius_mm) / 0.15, np.diff(height_mm) / 0.5, atol=1e-9)


def test_the_macro_needles_port_is_in_the_middle_of_its_bare_part() -> None:
    """7.5 mm from the tip of 15 mm; both channels share the cannula, with opposite weights."""
    macro, port = channels(Macro(), tip())
    (bare,), (reference,) = macro.lines, port.lines
    assert macro.weights.size == 0
    assert (bare.weight, reference.weight) == (1.0, -1.0)
    np.testing.assert_array_equal(bare.start_mm, reference.start_mm)
    middle = bare.start_mm + bare.length_mm / 2 * bare.direction
    np.testing.assert_allclose(middle, PLACE - [0.275, 0.0, 0.0])


def test_fine_wires_are_one_millimetre_apart_along_the_fibres() -> None:
    """Both 1 mm long; the second is subtracted."""
    (electrode,) = channels(FineWire(), tip())
    first, second = electrode.lines
    np.testing.assert_allclose(second.start_mm - first.start_mm, [0.0, 0.0, 1.0], atol=1e-12)
    assert (first.weight, second.weight) == (1.0, -1.0)
    assert first.length_mm == second.length_mm == 1.0


def test_a_differential_array_is_each_contact_less_the_next() -> None:
    """15 channels of 16 contacts, exactly the differences of the monopolar ones."""
    single = channels(ThinFilm(), tip())
    double = channels(ThinFilm(montage="differential"), tip())
    assert (len(single), len(double)) == (16, 15)
    for k, electrode in enumerate(double):
        expected = difference(single[k], single[k + 1])
        np.testing.assert_array_equal(electrode.points_mm, expected.points_mm)
        np.testing.assert_array_equal(electrode.weights, expected.weights)
    rise = np.mean(single[1].points_mm, axis=0) - np.mean(single[0].points_mm, axis=0)
    np.testing.assert_allclose(rise, [0.0, 0.5, 0.0], atol=1e-12)


def test_channels_are_named_after_what_they_record() -> None:
    """Names tell the channels of one electrode apart, kinds choose an analysis."""
    names = {kind.kind: [c.name for c in recording_channels(kind)] for kind in KINDS[:5]}
    assert names == {
        "concentric_needle": ["needle"],
        "monopolar": ["needle"],
        "single_fibre": ["needle"],
        "macro": ["needle macro", "needle port"],
        "fine_wire": ["needle"],
    }
    assert [c.kind for c in recording_channels(Macro())] == ["macro", "single_fibre"]
    array = recording_channels(ThinFilm(n_contacts=3, montage="differential"), "array")
    assert [(c.name, c.reference) for c in array] == [
        ("array 1", "array 2"),
        ("array 2", "array 3"),
    ]


def test_electrodes_have_the_published_areas() -> None:
    """Core 0.068 mm2, facial 0.03, cone 0.25 (0.15-0.6), thin film 5000-5600 um2 (part D)."""
    assert surfaces_mm2(ConcentricNeedle())[0][0] == pytest.approx(0.068, abs=0.001)
    facial = ConcentricNeedle(core_mm=0.10, cannula_mm=0.30)
    assert surfaces_mm2(facial)[0][0] == pytest.approx(0.03, abs=0.001)
    assert surfaces_mm2(Monopolar())[0][0] == pytest.approx(0.25, abs=0.005)
    assert surfaces_mm2(ThinFilm())[0][0] == pytest.approx(5.3e-3, abs=0.31e-3)


def test_the_impedance_is_spreading_resistance_and_double_layer_in_series() -> None:
    """By pencil, for a disc of 25 um: 1 / (4 a sqrt(sr sz)) and 20 uF/cm2."""
    medium = Medium()
    conductivity_s_m = np.sqrt(medium.sigma_radial_s_m * medium.sigma_axial_s_m)
    areas_m2 = [np.pi * (12.5e-6) ** 2, np.pi * 0.5e-3 * 15e-3]
    resistance = sum(1 / (4 * np.sqrt(a / np.pi) * conductivity_s_m) for a in areas_m2)
    reactance = sum(1 / (2 * np.pi * 1e3 * 0.2 * a) for a in areas_m2)
    (impedance,) = impedance_ohm(SingleFibre(), 1e3)[:, 0]
    assert impedance.real == pytest.approx(resistance)
    assert impedance.imag == pytest.approx(-reactance)


@pytest.mark.parametrize("kind", KINDS, ids=IDS)
def test_impedance_falls_with_frequency_and_noise_follows_its_real_part(
    kind: ElectrodeKind,
) -> None:
    """One row per channel; needles make the 0.9-3 uVrms of table M, a single-fibre disc more."""
    impedance = impedance_ohm(kind, [10.0, 1e3, 10e3])
    assert impedance.shape == (len(channels(kind, tip())), 3)
    assert np.all(np.diff(np.abs(impedance), axis=1) < 0)
    resistance_ohm = impedance[:, 1].real
    assert resistance_ohm == pytest.approx(impedance[:, 2].real)  # so the noise is white
    noise_uv = 1e6 * np.sqrt(johnson_density_v2_hz(resistance_ohm[0], 310.0) * 10e3)
    if isinstance(kind, ConcentricNeedle | Monopolar):
        assert 0.9 < noise_uv < 3.0


@pytest.mark.parametrize("f_hz", [0.0, -1.0, [10.0, 0.0]])
def test_there_is_no_impedance_for_steady_current(f_hz: float | list[float]) -> None:
    """The double layer lets none pass."""
    with pytest.raises(ValueError, match="f_hz must be > 0"):
        impedance_ohm(ConcentricNeedle(), f_hz)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"kind": "concentric_needle", "core_mm": 0.5}, "core_mm must be < cannula_mm"),
        ({"kind": "single_fibre", "port_mm": 20}, "port_mm must be < cannula_length_mm"),
        ({"kind": "macro", "port_mm": 15}, "port_mm must be < bare_mm"),
        ({"kind": "fine_wire", "apart_mm": 0.04}, "wire_mm must be < apart_mm"),
        ({"kind": "thin_film", "pitch_mm": 0.03}, "contact_length_mm must be < pitch_mm"),
        (
            {"kind": "thin_film", "n_contacts": 1, "montage": "differential"},
            "n_contacts must be >= 2",
        ),
        ({"kind": "surface"}, "surface"),
    ],
)
def test_what_cannot_be_built_is_refused(table: dict[str, object], message: str) -> None:
    """Each with the thing, the rule and the value."""
    with pytest.raises(ValidationError, match=message):
        ONE_OF.validate_python(table)


def test_an_electrodes_arrays_must_fit_each_other() -> None:
    """Shapes, and directions of length 1."""
    with pytest.raises(ValueError, match="points_mm, weights"):
        Electrode(points_mm=np.zeros((2, 3)), weights=np.zeros(3))
    good = {"start_mm": np.zeros(3), "length_mm": 1.0, "radius_mm": 0.1, "weight": 1.0}
    with pytest.raises(ValueError, match="length 1, got 2"):
        Line(direction=np.array([0.0, 2.0, 0.0]), **good)
    with pytest.raises(ValueError, match="start_mm, direction"):
        Line(direction=np.ones(2), **good)
    with pytest.raises(ValueError, match="length_mm must be > 0"):
        Line(direction=np.array([0.0, 1.0, 0.0]), **(good | {"length_mm": 0.0}))


@pytest.mark.parametrize(
    ("kind", "extent_mm"),
    [
        (ConcentricNeedle(), 0.58),
        (Monopolar(), 0.5),
        (SingleFibre(), 0.025),
        (Macro(), 15.0),
        (FineWire(), np.sqrt(2.0)),
        (ThinFilm(), 7.54),
    ],
)
def test_the_extent_is_the_largest_dimension_of_what_records(
    kind: ElectrodeKind, extent_mm: float
) -> None:
    """For the check that an electrode fits its muscle."""
    assert kind.extent_mm == pytest.approx(extent_mm, abs=1e-3)


def catalogue(on_skin: bool = False) -> dict[str, dict[str, object]]:
    """Return the catalogue's tables of the electrodes in the muscle, or on the skin."""
    tables = tomllib.loads(CATALOGUE.read_text("utf-8"))
    return {name: t for name, t in tables.items() if (t["kind"] in SKIN_KINDS) == on_skin}


@pytest.mark.parametrize("name", sorted(catalogue()))
def test_every_electrode_of_the_catalogue_is_one(name: str) -> None:
    """It validates, and puts its channels in place."""
    kind = ONE_OF.validate_python(catalogue()[name])
    assert channels(kind, TipPosition())


@pytest.mark.parametrize("name", sorted(catalogue(on_skin=True)))
def test_every_surface_electrode_of_the_catalogue_is_one(name: str) -> None:
    """It validates, and makes channels; the grids have 64 pads."""
    table = catalogue(on_skin=True)[name]
    kind = SKIN.validate_python(table)
    matrix = montage_matrix(kind)
    assert matrix.shape == ((64, 64) if table["kind"] == "surface_grid" else (1, 2))


def test_the_catalogue_has_every_kind_with_the_defaults_of_its_model() -> None:
    """The standard electrode of each kind is what its parameters are by default."""
    entries = {name: ONE_OF.validate_python(table) for name, table in catalogue().items()}
    assert {kind.kind for kind in KINDS} == {entry.kind for entry in entries.values()}
    facial = entries.pop("concentric_facial")
    assert facial == ConcentricNeedle(core_mm=0.10, cannula_mm=0.30)
    for entry in entries.values():
        assert entry == type(entry)()


def test_every_number_of_the_catalogue_has_its_source() -> None:
    """No line with a number goes without a comment."""
    lines = CATALOGUE.read_text("utf-8").splitlines()
    assert not [s for s in lines if re.match(r"\w+ = [\d.]", s) and not re.search(r"# .+", s)]


@pytest.mark.parametrize(
    ("turned", "facing"),
    [
        ({}, [1.0, 0.0]),
        ({"rotation_deg": 180.0}, [-1.0, 0.0]),
        ({"rotation_deg": 90.0}, [0.0, 0.0]),  # along the fibres: no side of them is behind
        ({"tilt_deg": 30.0}, [np.cos(np.pi / 6), -0.5]),  # hub towards +x, face down
    ],
)
def test_the_cannula_shields_the_core_where_the_bevel_does_not_face(
    turned: dict[str, float], facing: list[float]
) -> None:
    """It has the cannula's radius, and stands behind the core's centre."""
    place = TipPosition(x_mm=1.0, y_mm=-2.0, z_mm=3.0, **turned)
    shield = channels(ConcentricNeedle(cannula_mm=0.30, core_mm=0.10), place)[0].shield
    assert shield is not None
    assert (shield.radius_mm, shield.share) == (0.15, 0.5)
    np.testing.assert_allclose(shield.centre_mm, [1.0, -2.0])
    np.testing.assert_allclose(shield.facing, facing, atol=1e-12)


def test_only_a_concentric_needle_is_shielded() -> None:
    """Not those without a cannula, nor a side port, nor a needle whose shielding is left out."""
    for kind in (*KINDS, ConcentricNeedle(shielding=0.0)):
        shields = [channel.shield for channel in channels(kind, TipPosition())]
        expected = kind == ConcentricNeedle()
        assert [shield is not None for shield in shields] == [expected] * len(shields)


@given(tip=ANY_TIP)
def test_the_contacts_of_an_array_are_where_they_hear(tip: TipPosition) -> None:
    """In the same order: the place of channel k is the middle of its surface."""
    array = ThinFilm(n_contacts=5)
    own = [np.mean(surface.points_mm, axis=0) for surface in channels(array, tip)]
    np.testing.assert_allclose(positions_mm(array, tip), own, atol=1e-9)


def test_a_needle_is_where_its_tip_is() -> None:
    """Both channels of a macro needle are told by the place of its port."""
    np.testing.assert_array_equal(
        positions_mm(Macro(), TipPosition(x_mm=1, y_mm=2, z_mm=3)), [[1, 2, 3], [1, 2, 3]]
    )
