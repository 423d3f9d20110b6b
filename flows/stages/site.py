"""Where a build works: the store, the backend, and who is told how far it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from ..progress import Meter
from ..store import Store

Value = TypeVar("Value")


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
    """

    store: Store
    backend: str
    meter: Meter


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
