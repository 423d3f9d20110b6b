"""The command ``lungtwin``. Thin: each command calls one function and prints what came of it."""

from __future__ import annotations

from .app import main

__all__ = ["main"]
