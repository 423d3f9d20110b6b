"""Builds by many hands, and what can be seen of them: families of cases, shards, clusters, status, clean."""

from __future__ import annotations
