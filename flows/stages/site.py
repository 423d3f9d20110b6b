"""Where a build works: the store, the backend, who is told how far it is, and the twin that nodules are placed in."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from lesions.clearance import Clearance
from twins import Twin

from ..progress import Meter
from ..store import Artefact, Store

Value = TypeVar("Value")


class Held(Generic[Value]):
    """A value that is made when first asked for, and then kept."""

    def __init__(self, make: Callable[[], Value]) -> None:
        self._make = make
        self._values: list[Value] = []

    def set(self, value: Value) -> None:
        """Keep ``value``: it is at hand already."""
        self._values = [value]

    def get(self) -> Value:
        """The value."""
        if not self._values:
            self._values = [self._make()]
        return self._values[0]


class Ground:
    """The twin that nodules were last placed in, with its distance maps: cases of one base follow one another."""

    def __init__(self) -> None:
        self._last: tuple[str, Clearance] | None = None

    def of(self, twin_file: Artefact, twin: Held[Twin]) -> Clearance:
        """The distance maps of a twin, which is put into ``twin`` where it is known already."""
        if self._last is None or self._last[0] != twin_file.sha256:
            self.leave()  # its memory goes before that of the next
            self._last = (twin_file.sha256, Clearance(twin.get()))
        twin.set(self._last[1].twin)
        return self._last[1]

    def leave(self) -> None:
        """Forget it: no other case has this base."""
        self._last = None


@dataclass(frozen=True, slots=True)
class Site:
    """What every stage needs besides its case.

    Parameters
    ----------
    store
        Where artefacts are kept.
    backend
        ``"cpu"`` or ``"gpu"``, already chosen: it is part of every key.
    meter
        Is told of progress.
    ground
        Where nodules were placed last.
    """

    store: Store
    backend: str
    meter: Meter
    ground: Ground = field(default_factory=Ground)
