"""A model's equation as text that people can read and recompute."""

from __future__ import annotations

from ..model import ModelSpec
from ..terms import Indicator, Power, Term


def equation(model: ModelSpec) -> str:
    """The equation, one term per line, without any markup.

    ``[x is v]`` is 1 where the covariate x has the value v, else 0; ``^`` is a power. Numbers have all their digits.
    """
    lines = [f"logit = {_number(model.intercept)}"]
    for term in model.terms:
        sign = "-" if term.coefficient < 0 else "+"
        lines.append(f"        {sign} {_number(abs(term.coefficient))} * {transformed(term)}")
    lines.append("p     = 1 / (1 + exp(-logit))")
    return "\n".join(lines)


def transformed(term: Term) -> str:
    """What a term's coefficient multiplies, as in :func:`equation`."""
    name, how = term.covariate, term.transform
    if isinstance(how, Indicator):
        value = str(how.value).lower() if isinstance(how.value, bool) else how.value
        return f"[{name} is {value}]"
    if isinstance(how, Power):
        base = name if how.scale == 1 else f"{name} / {_number(how.scale)}"
        power = f"{name}^{_number(how.power)}" if how.scale == 1 else f"({base})^{_number(how.power)}"
        return power if how.offset == 0 else f"({power}{_less(how.offset)})"
    centred = name if how.offset == 0 else f"({name}{_less(how.offset)})"
    return centred if how.scale == 1 else f"({centred} / {_number(how.scale)})"


def _less(offset: float) -> str:
    return f" - {_number(offset)}" if offset > 0 else f" + {_number(-offset)}"


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(float(value))
