"""What a dataset shall hold: the study spec, its keys, its presets, and the plan that follows from it."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from .cases import Case as Case
    from .cases import Scan as Scan
    from .keys import make_key as make_key
    from .people import PatientEntry as PatientEntry
    from .people import TwinEntry as TwinEntry
    from .plan import Plan as Plan
    from .plan import make_plan as make_plan
    from .presets import load_study as load_study
    from .presets import preset_names as preset_names
    from .resolution import resolve as resolve
    from .rows import PlanRow as PlanRow
    from .scans import ScanEntry as ScanEntry
    from .spec import Outputs as Outputs
    from .spec import StudySpec as StudySpec

_HOMES = {
    "Case": ".cases",
    "Outputs": ".spec",
    "PatientEntry": ".people",
    "Plan": ".plan",
    "PlanRow": ".rows",
    "Scan": ".cases",
    "ScanEntry": ".scans",
    "StudySpec": ".spec",
    "TwinEntry": ".people",
    "load_study": ".presets",
    "make_key": ".keys",
    "make_plan": ".plan",
    "preset_names": ".presets",
    "resolve": ".resolution",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(_HOMES[name], __name__), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
