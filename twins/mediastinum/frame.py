"""The frame of the mediastinum, and in it great vessels, oesophagus and central airways around the carina.

Points are given as ``(x, forward, z)``: millimetres to the left, in front of the vertebral bodies, and above the
carina, for
a chest of reference size (cage 272 mm wide, 142 mm between spine and breast bone at the heart); they are scaled to
the chest.
Sizes: aorta 34.1/31.9 mm ascending, 25.8/23.1 mm descending
(Framingham, n 3431);
pulmonary trunk 25.1 mm (Framingham, n 3171); trachea and main bronchi as in the airway tree. Positions are design
defaults (unverified) after general anatomy.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..cage import Cage
from ..fields import stream
from ..shapes import Blob, Coat, Tube, curve
from ..structures import Structure

Lines = dict[str, tuple[list[ArrayLike], list[float]]]


@dataclass(frozen=True, slots=True)
class CentralAirways:
    """How the trachea and the main bronchi of one person differ from the mean of their sex.

    ``right_main_mm`` is the length of the right main bronchus to the origin of the upper lobe's, 13.6 +- 4.3 mm;
    ``left_main_mm`` what the left one (48.3 +- 6.5 mm) is longer than the mean (CTs, n 2107); ``calibre`` scales the
    diameters of both and of the trachea: published series vary by 0.10 to 0.13, drawn is 0.075 about 0.985, so that the
    volume of the airways keeps to the range of five CTs (design default).
    """

    right_main_mm: float = 13.6
    left_main_mm: float = 0.0
    calibre: float = 1.0

    @classmethod
    def of(cls, key: int) -> CentralAirways:
        """Those of a person; each is kept within two standard deviations of its mean."""
        right, left, calibre = np.clip(stream(key, "central airways").standard_normal(3), -1.9, 1.9)
        return cls(13.6 + 3.9 * float(right), 5.5 * float(left), 0.985 + 0.075 * float(calibre))


@dataclass(frozen=True, slots=True)
class Mediastinum:
    """Places of the mediastinum of one person."""

    cage: Cage
    across: float
    forward: float
    heart: float
    descent: float
    airways: CentralAirways = CentralAirways()

    @classmethod
    def of(
        cls, cage: Cage, heart_scale: float, rise_mm: float = 0.0, airways: CentralAirways | None = None
    ) -> Mediastinum:
        """Scale the reference to a cage; the heart ends at the central tendon of the diaphragm, and rises with it.

        ``airways`` None: those of the mean person.
        """
        room = float(cage.spine(-80.0) - cage.front(-80.0))
        sex = 1.0 if cage.is_male else 0.93
        # bottom of the reference heart (-122 mm) to the central tendon, 14 mm below the right dome's top
        tendon_mm = cage.base_mm + 88 / 300 * cage.height_mm - 14
        descent = float(np.clip(-tendon_mm / 122, 0.78, 1.30)) - 0.7 * rise_mm / 122
        return cls(
            cage,
            np.clip(cage.width_mm / 272, 0.88, 1.12),
            float(np.clip(room / 142, 0.75, 1.25)),
            heart_scale * sex,
            descent,
            airways or CentralAirways(),
        )

    def at(self, points: ArrayLike) -> NDArray[np.float64]:
        """World points of reference points ``(..., 3)``."""
        p = np.asarray(points, float)
        z = np.where(p[..., 2] < -30, -30 + (p[..., 2] + 30) * (self.descent * 122 - 30) / 92, p[..., 2])
        # the room in front of the spine narrows towards the inlet of the chest
        room = self.cage.spine(z) - self.cage.front(z)
        forward = np.minimum(self.forward * p[..., 1], np.maximum(room - 14.0, 0.4 * room))
        return np.stack([self.across * p[..., 0], self.cage.spine(z) - forward, z], axis=-1)

    def tube(self, points: ArrayLike, radius_mm: ArrayLike, coat: Coat, n: int = 24, flat: float = 1.0) -> Tube:
        """A smooth tube through reference points; ``flat`` < 1 makes it narrower from front to back."""
        knots = self.at(points)
        radii = np.broadcast_to(np.asarray(radius_mm, float), len(knots))
        line = curve(np.column_stack([knots, radii]), n)
        radius = np.maximum(line[:, 3], 0.5)
        return Tube(line[:, :3], np.column_stack([radius * flat, radius]), coat)

    def vessels(self) -> list[Tube]:
        """Great vessels, walls included, in painting order."""
        m = self.cage.is_male
        s = 1.0 if m else 0.93
        ascending, descending, trunk = (17.05, 12.9, 12.6) if m else (15.95, 11.55, 12.2)
        artery = Coat("blood", Structure.AORTA, "muscle", 1.8, Structure.AORTA)
        branch = Coat("blood", Structure.BRACHIOCEPHALIC_VESSEL, "muscle", 1.0, Structure.BRACHIOCEPHALIC_VESSEL)
        lung = Coat("blood", Structure.PULMONARY_TRUNK)
        vein = Coat("blood", Structure.SUPERIOR_VENA_CAVA)
        return [
            self.tube([(-32, 42, -62), (-33, 36, -30), (-31, 38, 6), (-29, 40, 30)], 9.5 * s, vein),
            self.tube([(-29, 40, 30), (-30, 47, 50), (-35, 48, 70), (-42, 38, 96), (-44, 30, 140)], 7.5 * s, branch),
            self.tube(
                [(-29, 40, 28), (0, 53, 44), (24, 51, 60), (35, 46, 74), (44, 37, 98), (46, 29, 140)], 6.5 * s, branch
            ),
            self.tube(
                [(-30, 34, 8), (-27, 16, 9), (-14, 3, -6), (-10, 0, -40), (-8, 0, -110), (-8, 0, -230)],
                4.0,
                Coat("blood", Structure.AZYGOS_VEIN),
            ),
            self.tube(
                [(-24, 26, -104), (-24, 34, -88), (-28, 44, -74)], 11.5, Coat("blood", Structure.INFERIOR_VENA_CAVA)
            ),
            self.tube([(20, 74, -48), (21, 67, -36), (20, 52, -25), (16, 34, -19)], trunk, lung),
            self.tube(
                [(17, 38, -20), (-6, 29, -20), (-24, 27, -21), (-34, 23, -24)],
                [11.5 * s, 10.5 * s, 9.5 * s, 8.0 * s],
                lung,
            ),
            self.tube(
                [(17, 38, -19), (30, 24, -12), (42, 12, -13), (47, 5, -20)],
                [11.0 * s, 10.0 * s, 9.0 * s, 7.5 * s],
                lung,
            ),
            self.tube(
                [
                    (8, 50, -56),
                    (-6, 52, -36),
                    (-13, 47, -8),
                    (-9, 41, 18),
                    (4, 29, 31),
                    (17, 14, 29),
                    (24, 1, 12),
                    (25, -3, -12),
                    (24, -3, -60),
                    (20, -1, -110),
                    (12, 2, -170),
                    (6, 3, -240),
                ],
                [
                    ascending - 1,
                    ascending,
                    ascending,
                    ascending - 1,
                    14.5 * s,
                    13.8 * s,
                    descending + 1,
                    descending,
                    descending,
                    descending - 0.5,
                    descending - 1,
                    descending - 2,
                ],
                artery,
                n=90,
            ),
            self.tube([(-4, 36, 36), (-14, 30, 62), (-22, 22, 92), (-28, 20, 140)], [7, 6.5, 5.5, 4.5], branch),
            self.tube([(8, 25, 38), (14, 20, 62), (19, 16, 96), (22, 18, 140)], 4.2, branch),
            self.tube([(-18, 26, 76), (-31, 24, 97), (-54, 14, 108)], 4.8, branch),
            self.tube([(18, 10, 36), (24, 6, 62), (34, 2, 88), (58, 8, 106)], 5.0, branch),
        ]

    def oesophagus(self, gape: float) -> list[Tube]:
        """Oesophagus: a flat tube with a wall of 3 mm, and air where it gapes: flecks in 40 % of persons.

        ``gape`` (0-1) is the person's draw.
        """
        wall = Coat("gut_wall", Structure.OESOPHAGUS)
        path = [
            (2, 3, 140),
            (4, 4, 60),
            (4, 6, 20),
            (3, 8, -20),
            (4, 9, -60),
            (8, 13, -100),
            (14, 22, -128),
            (26, 36, -150),
        ]
        bodies = [self.tube(path, [8, 8.5, 9, 9, 9, 9, 9, 10], wall, n=60, flat=0.62)]
        gap = Coat("air", Structure.OESOPHAGUS)
        for k, shift in enumerate((0.0, -66.0, 54.0)):
            size = 2.6 * max(0.0, 1.0 - gape / 0.4) - 0.5 * k
            if size > 0.4:
                line = [(4, 5 + 0.02 * max(-shift, 0), 40 + shift), (4, 6, 28 + shift), (4, 7, 14 + shift)]
                bodies.append(self.tube(line, [0.5, size, 0.5], gap, n=14, flat=0.7))
        return bodies

    def airway_knots(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Centre-lines and lumen radii of the named central airways: trachea to lobar bronchi."""
        own = self.airways
        s = (1.0 if self.cage.is_male else 0.84) * own.calibre
        lobar = (1.0 if self.cage.is_male else 0.84) * own.calibre**0.5
        top = self.cage.apex_mm + 40
        # bifurcation of the right main bronchus, and of the left one, on their ways
        right = own.right_main_mm / self.across * np.array([-0.62, 0.0, -0.77]) + np.array([0.0, 16.0, 0.0])
        left = np.array([38.0, 11.0, -28.0]) + own.left_main_mm / self.across * np.array([0.77, -0.10, -0.61])
        carina, upper, low = np.array([0.0, 16.0, 0.0]), np.array([-33.0, 15.0, -6.0]), np.array([-27.0, 14.0, -36.0])
        lines: Lines = {
            "trachea": ([(0, 12, top), (-1, 13, 60), (0, 15, 25), carina], [9.2 * s, 9.2 * s, 9.3 * s, 9.0 * s]),
            "right main": ([carina, 0.5 * (carina + right), right], [8.0 * s, 7.4 * s, 7.2 * s]),
            "left main": ([carina, (14, 15, -9), left], [7.2 * s, 6.3 * s, 6.0 * s]),
            "right upper": (
                [right, 0.45 * right + 0.55 * upper - np.array([0.0, 0.0, 1.5]), upper],
                [5.0 * lobar, 4.6 * lobar, 4.4 * lobar],
            ),
            "intermediate": (
                [right, 0.5 * (right + low) + np.array([-1.0, 0.5, 0.0]), low],
                [6.0 * lobar, 5.6 * lobar, 5.3 * lobar],
            ),
            "right middle": (
                [low, (-41, 21, -43), (-60, 34, -52)], [3.6 * lobar, 3.3 * lobar, 3.1 * lobar]),
            "right lower": ([low, (-33, 9, -47), (-40, 5, -60)], [4.9 * lobar, 4.6 * lobar, 4.4 * lobar]),
            "left upper": ([left, (46, 17, -27), (54, 24, -22)], [5.0 * lobar, 4.6 * lobar, 4.4 * lobar]),
            "left lower": ([left, (44, 5, -40), (50, 1, -54)], [4.8 * lobar, 4.5 * lobar, 4.3 * lobar]),
        }  # fmt: skip
        return {
            name: (self.at(np.asarray(points, float)), np.asarray(radii)) for name, (points, radii) in lines.items()
        }

    def trachea(self) -> tuple[Tube, list[Tube]]:
        """Wall; lumen and the membrane that flattens its back.

        In men the trachea is deeper than wide (20.6 and 18.0 mm), in women round (14.9 and 14.8 mm).
        """
        points, radii = self.airway_knots()["trachea"]
        line, r = curve(points, 28), np.interp(np.linspace(0, 1, 28), np.linspace(0, 1, len(radii)), radii)
        ripple = 1 + 0.05 * np.sin(0.11 * line[:, 2] + self.cage.height_mm) * np.clip(line[:, 2] / 30, 0, 1)
        back = 1.20 if self.cage.is_male else 1.04
        deep = np.column_stack([back * r, 0.98 * r * ripple])
        wall = Coat("gut_wall", Structure.MEDIASTINUM)
        behind = line + np.column_stack([0 * r, (back + 0.22) * r, 0 * r])
        behind[:, 2] = np.maximum(behind[:, 2], 6.0)
        membrane = Tube(behind, np.column_stack([0.5 * r, 0.98 * r]), wall)
        # the lumen ends above the carina, where the main bronchi part
        return Tube(line, deep + 1.6, wall), [Tube(line[:-1], deep[:-1], Coat("air", Structure.TRACHEA)), membrane]

    def airway_bodies(self) -> list[Tube]:
        """Trachea and main bronchi with their walls, as room that the lungs leave free."""
        coat = Coat("gut_wall", Structure.TRACHEA)
        return [
            Tube(curve(p, 16), np.interp(np.linspace(0, 1, 16), np.linspace(0, 1, len(r)), r) + 1.8, coat)
            for name, (p, r) in self.airway_knots().items()
            if name in ("trachea", "right main", "left main", "intermediate")
        ]

    def artery_knots(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Centre-lines and radii of the arteries from the pulmonary trunk to each lobe."""
        s = 1.0 if self.cage.is_male else 0.92
        lines: Lines = {
            "trunk": ([(20, 74, -48), (21, 67, -36), (20, 52, -25), (17, 38, -20)], [12.6, 12.6, 12.6, 12.0]),
            "right": ([(17, 38, -20), (-6, 29, -20), (-24, 27, -21), (-34, 23, -24)], [11.5, 10.5, 9.5, 8.0]),
            "left": ([(17, 38, -20), (30, 24, -12), (42, 12, -13), (47, 5, -20)], [11.0, 10.0, 9.0, 7.5]),
            "right upper": ([(-34, 23, -24), (-40, 23, -14), (-44, 21, -5)], [5.8, 5.2, 4.6]),
            "interlobar": ([(-34, 23, -24), (-39, 18, -34), (-41, 14, -44)], [7.5, 7.0, 6.6]),
            "right middle": ([(-41, 14, -44), (-50, 22, -46), (-64, 33, -51)], [3.8, 3.5, 3.2]),
            "right lower": ([(-41, 14, -44), (-45, 8, -53), (-49, 4, -62)], [5.8, 5.4, 5.0]),
            "left upper": ([(47, 5, -20), (54, 12, -19), (60, 20, -18)], [5.4, 5.0, 4.6]),
            "left lower": ([(47, 5, -20), (54, 2, -36), (58, -1, -54)], [6.4, 5.8, 5.0]),
        }
        return {
            name: (self.at(np.asarray(points, float)), s * np.asarray(radii)) for name, (points, radii) in lines.items()
        }

    def vein_knots(self) -> dict[str, tuple[NDArray[np.float64], NDArray[np.float64]]]:
        """Centre-lines and radii of the veins from the left atrium to each lobe."""
        s = 1.0 if self.cage.is_male else 0.92
        lines: Lines = {
            "right superior": ([(-16, 36, -46), (-30, 36, -40), (-38, 36, -36)], [7.4, 6.8, 6.4]),
            "right inferior": ([(-14, 27, -62), (-30, 20, -66), (-42, 14, -70)], [7.0, 6.4, 5.6]),
            "left superior": ([(30, 36, -46), (42, 37, -38), (52, 38, -32)], [7.2, 6.6, 5.8]),
            "left inferior": ([(30, 26, -58), (42, 17, -63), (54, 10, -68)], [6.8, 6.2, 5.4]),
            "right upper": ([(-38, 36, -36), (-46, 36, -26), (-52, 34, -14)], [5.4, 5.0, 4.6]),
            "right middle": ([(-38, 36, -36), (-50, 41, -46), (-59, 46, -55)], [3.8, 3.5, 3.2]),
        }
        return {
            name: (self.at(np.asarray(points, float)), s * np.asarray(radii)) for name, (points, radii) in lines.items()
        }

    def central_vessel_bodies(self) -> list[Tube]:
        """Hilar arteries and veins, as room that the lungs leave free."""
        coat = Coat("blood", Structure.PULMONARY_TRUNK)
        lines = [v for k, v in self.artery_knots().items() if k in ("right", "left", "interlobar")]
        lines += [
            v for k, v in self.vein_knots().items() if len(k.split()) == 2 and k.split()[1] in ("superior", "inferior")
        ]
        return [
            Tube(curve(p, 14), np.interp(np.linspace(0, 1, 14), np.linspace(0, 1, len(r)), r), coat) for p, r in lines
        ]

    def inlet(self) -> Tube:
        """Fat that holds the great vessels together above the arch, from the spine to the breast bone."""
        z = np.array([26.0, 42.0, 60.0, 80.0, 100.0, 130.0])
        spine, front = self.cage.spine(z), self.cage.front(z)
        deep = 0.5 * (spine - front - 4.0)
        wide = np.array([16.0, 25.0, 31.0, 33.0, 33.0, 33.0]) * self.across
        line = np.column_stack([np.full_like(z, -1.0), spine - deep, z])
        return Tube(line, np.column_stack([np.maximum(deep + 3.0, 12.0), wide]), Coat("adipose", Structure.MEDIASTINUM))

    def fat(self) -> list[Blob]:
        """Fat in front of the great vessels, around the hila, and in the angles between heart and diaphragm."""
        coat = Coat("adipose", Structure.MEDIASTINUM)
        plump = float(np.clip(0.72 + 0.025 * (self.cage.fat_mm - 4.0), 0.72, 1.25))
        return [
            Blob(self.at((3, 62, 12)), (20 * self.across * plump, 26, 34), coat),
            Blob(self.at((2, 48, 34)), (27 * self.across * plump, 22, 28), coat),
            Blob(self.at((-8, 24, -10)), (30 * self.across, 24, 26), coat),
            Blob(self.at((24, 22, -4)), (22 * self.across, 22, 18), coat),
            Blob(self.at((0, 22, -60)), (26 * self.across, 22, 66), coat),
            Blob(self.at((-26, 78, -112)), (18 * plump, 22 * plump, 20), coat),
            Blob(self.at((60, 82, -112)), (15 * plump, 19 * plump, 20), coat),
            Blob(self.at((12, 58, -120)), (58 * self.across, 44, 22), coat),
        ]
