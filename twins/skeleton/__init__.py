"""Bones of the chest: vertebrae with discs, ribs on the cage surface, cartilages, sternum, clavicles, scapulae."""

from .girdle import scapula as scapula
from .painting import paint_skeleton as paint_skeleton
from .ribs import ribs as ribs
from .spine import spine as spine
from .spine import spine_room as spine_room
from .spine import vertebral_levels as vertebral_levels
