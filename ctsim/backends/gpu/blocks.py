"""Blocks of views that take turns on two streams: one is copied to the host while the next is worked."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from .device import Device

N_STREAMS = 2

Buffers = TypeVar("Buffers")


def in_blocks(
    device: Device,
    n_views: int,
    per_block: int,
    prepare: Callable[[int], Buffers],
    queue: Callable[[slice, Buffers], None],
    collect: Callable[[slice, Buffers], None],
    progress: Callable[[float], None] | None = None,
) -> None:
    """Work all views, a block after the other.

    Parameters
    ----------
    device
        Where. All that it was given before on the current stream comes first.
    n_views, per_block
        How many views there are, and how many a block has at most.
    prepare
        The buffers of a stream for so many views, called on that stream.
    queue
        Gives the work of a block to the current stream, copies to the buffers' pinned memory at last.
    collect
        Takes a finished block from the pinned memory, in the order of the views.
    progress
        Called with the fraction done, 0 to 1.
    """
    ready = device.event()
    lines = []
    for _ in range(min(N_STREAMS, -(-n_views // per_block))):
        stream = device.stream()
        stream.wait_event(ready)
        with stream:
            lines.append((stream, prepare(per_block)))

    def finish(turn: int) -> None:
        stream, buffers = lines[turn % len(lines)]
        stream.synchronize()
        views = slice(turn * per_block, min((turn + 1) * per_block, n_views))
        collect(views, buffers)
        if progress is not None:
            progress(views.stop / n_views)

    n_blocks = -(-n_views // per_block)
    for turn in range(n_blocks):
        stream, buffers = lines[turn % len(lines)]
        with stream:
            queue(slice(turn * per_block, min((turn + 1) * per_block, n_views)), buffers)
        if turn > 0:
            finish(turn - 1)
    if n_blocks > 0:
        finish(n_blocks - 1)
