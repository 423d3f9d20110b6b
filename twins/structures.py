"""The anatomy ids that a twin's ``structure`` array holds: what a voxel is called (not what it is made of)."""

from __future__ import annotations

from enum import IntEnum


class Structure(IntEnum):
    """Anatomy ids. Stable: a number never changes its meaning; new structures get new numbers."""

    OUTSIDE = 0
    SKIN = 1
    FAT = 2
    MUSCLE = 3
    BREAST = 4
    SOFT_TISSUE = 5
    MEDIASTINUM = 6
    RIGHT_UPPER_LOBE = 10
    RIGHT_MIDDLE_LOBE = 11
    RIGHT_LOWER_LOBE = 12
    LEFT_UPPER_LOBE = 13
    LEFT_LOWER_LOBE = 14
    RIGHT_LUNG = 15
    LEFT_LUNG = 16
    FISSURE = 17
    TRACHEA = 20
    BRONCHUS = 21
    AIRWAY_WALL = 22
    PULMONARY_ARTERY = 23
    PULMONARY_VEIN = 24
    LUNG_VESSEL = 25
    HEART = 30
    HEART_MUSCLE = 31
    PERICARDIAL_FAT = 32
    CORONARY_ARTERY = 33
    AORTA = 40
    PULMONARY_TRUNK = 41
    SUPERIOR_VENA_CAVA = 42
    INFERIOR_VENA_CAVA = 43
    AZYGOS_VEIN = 44
    BRACHIOCEPHALIC_VESSEL = 45
    RIB = 50
    VERTEBRA = 51
    STERNUM = 52
    CLAVICLE = 53
    SCAPULA = 54
    COSTAL_CARTILAGE = 55
    HUMERUS = 56
    INTERVERTEBRAL_DISC = 57
    SPINAL_CANAL = 58
    BONE = 59
    DIAPHRAGM = 60
    LIVER = 61
    SPLEEN = 62
    STOMACH = 63
    BOWEL_GAS = 64
    ABDOMEN = 65
    OESOPHAGUS = 70
    LYMPH_NODE = 71
    CALCIFICATION = 72
    CONTRAST_BLOOD = 80


LOBES = (
    Structure.RIGHT_UPPER_LOBE,
    Structure.RIGHT_MIDDLE_LOBE,
    Structure.RIGHT_LOWER_LOBE,
    Structure.LEFT_UPPER_LOBE,
    Structure.LEFT_LOWER_LOBE,
)
"""The five lobes, in the order of their ids."""

AERATED = (*LOBES, Structure.RIGHT_LUNG, Structure.LEFT_LUNG)
"""Every id that means aerated lung (lobes, or whole lungs where no fissures are known)."""

LUNG = (
    *AERATED,
    Structure.FISSURE,
    Structure.BRONCHUS,
    Structure.AIRWAY_WALL,
    Structure.PULMONARY_ARTERY,
    Structure.PULMONARY_VEIN,
    Structure.LUNG_VESSEL,
)
"""Aerated lung and what runs inside it. Hilar vessels and bronchi outside the lungs carry some of these ids too."""
