"""Label rules of NLST as words on a command line: ``nodule_lobe(2, largest)``."""

from __future__ import annotations

import ast
from typing import Any

from pydantic import ValidationError

from labeling.nlst.definitions import Definition, nodule_lobe, participant_ever, screen_within

DEFINITIONS = {"participant_ever": participant_ever, "screen_within": screen_within, "nodule_lobe": nodule_lobe}
EXAMPLES = "participant_ever, screen_within(1), nodule_lobe(2), nodule_lobe(2, largest, rounds=(0,))"


def parse_label(text: str) -> Definition:
    """The label rule that ``text`` names; numbers, names without quotes, and tuples of numbers are its arguments.

    Raises
    ------
    ValueError
        If it is not one of the three rules or its arguments are wrong.
    """
    try:
        tree = ast.parse(text.strip(), mode="eval").body
        if isinstance(tree, ast.Name):
            tree = ast.Call(func=tree, args=[], keywords=[])
        if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name) and tree.func.id in DEFINITIONS):
            raise ValueError(f"must be one of {', '.join(DEFINITIONS)}")
        arguments = [_value(node) for node in tree.args]
        named = {word.arg: _value(word.value) for word in tree.keywords if word.arg is not None}
        if len(named) < len(tree.keywords):
            raise ValueError("arguments must be given one by one")
        make: Any = DEFINITIONS[tree.func.id]
        made: Definition = make(*arguments, **named)
    except (ValueError, TypeError, SyntaxError) as error:
        why: object = error
        if isinstance(error, SyntaxError):
            why = error.msg
        elif isinstance(error, ValidationError):
            why = "; ".join(
                f"{'.'.join(map(str, e['loc']))}: {e['msg'].lower()}, got {e['input']!r}" for e in error.errors()
            )
        raise ValueError(f"--label {text!r}: {why}. For example: {EXAMPLES}") from None
    return made


def _value(node: ast.expr) -> Any:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Constant) and isinstance(node.value, int | str):
        return node.value
    if isinstance(node, ast.Tuple):
        return tuple(_value(item) for item in node.elts)
    raise ValueError(f"arguments must be numbers, names or tuples of them, got {ast.unparse(node)}")
