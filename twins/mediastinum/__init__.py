"""The mediastinum: its frame and great vessels, the heart, lymph nodes, calcium, and how they are painted."""

from .frame import CentralAirways as CentralAirways
from .frame import Mediastinum as Mediastinum
from .heart import Heart as Heart
from .painting import paint_mediastinum as paint_mediastinum
from .rings import tracheal_rings as tracheal_rings
