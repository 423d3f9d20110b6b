"""The mediastinum: its frame and great vessels, the heart, lymph nodes, calcium, and how they are painted."""

from .frame import Mediastinum as Mediastinum
from .heart import Heart as Heart
from .painting import paint_mediastinum as paint_mediastinum
