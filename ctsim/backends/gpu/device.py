"""The CUDA device in use: CuPy, kernels compiled on first use, memory within a limit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from .. import BackendError

KERNELS = Path(__file__).parents[2] / "kernels"

OPTIONS = ("--std=c++17",)
"""Of the compiler, for every source. No fast-math: division and square root are rounded correctly, denormals kept."""

THREADS = 128
"""Threads of a block, a multiple of the warp's 32."""

LARGEST_SHARE = 0.9
"""Of the memory that is free at the start, what one process takes at most where nothing else is said [1]."""


class Device:
    """The current CUDA device.

    Parameters
    ----------
    memory_bytes
        What this process may hold on the device; None: what CuPy was told (``CUPY_GPU_MEMORY_LIMIT``), or nine tenths
        of what is free now. Several processes can share a device, each with its part.

    Raises
    ------
    BackendError
        If CuPy is not installed, or there is no usable device; the message says what to do.
    ValueError
        If ``memory_bytes`` is not positive.
    """

    def __init__(self, memory_bytes: int | None = None) -> None:
        try:
            import cupy
            import cupyx
        except ImportError:
            raise BackendError(
                "backend 'gpu' needs CuPy: pip install 'lungtwin[gpu12]' (CUDA 12) or 'lungtwin[gpu13]' (CUDA 13); "
                "or use backend 'cpu'"
            ) from None
        if not cupy.is_available():
            raise BackendError(
                "backend 'gpu' finds no CUDA device: check `nvidia-smi` and the driver; or use backend 'cpu'"
            )
        if memory_bytes is not None and memory_bytes <= 0:
            raise ValueError(f"memory_bytes must be positive, got {memory_bytes}")
        self.cupy: Any = cupy
        self._cupyx: Any = cupyx
        pool = cupy.get_default_memory_pool()
        if memory_bytes is None:
            free = cupy.cuda.runtime.memGetInfo()[0] + pool.total_bytes()  # what this process holds already is its own
            memory_bytes = pool.get_limit() or int(LARGEST_SHARE * free)
        else:
            pool.set_limit(size=memory_bytes)
        self.memory_bytes = memory_bytes
        self._modules: dict[str, Any] = {}

    @property
    def name(self) -> str:
        """Name of the device, as its driver says it."""
        return str(self.cupy.cuda.runtime.getDeviceProperties(self.cupy.cuda.Device().id)["name"].decode())

    def launch(self, source: str, kernel: str, n_threads: int, *arguments: Any) -> None:
        """Run ``kernel`` of ``kernels/<source>.cu`` on the current stream with at least ``n_threads`` threads in a row.

        Arguments are device arrays and NumPy scalars of the kernel's own types.
        """
        if n_threads == 0:
            return
        if source not in self._modules:
            code = (KERNELS / f"{source}.cu").read_text(encoding="utf-8")
            self._modules[source] = self.cupy.RawModule(code=code, options=OPTIONS)
        blocks = (n_threads + THREADS - 1) // THREADS
        self._modules[source].get_function(kernel)((blocks,), (THREADS,), arguments)

    def send(self, array: NDArray[Any], dtype: DTypeLike | None = None) -> Any:
        """The array on the device, C-ordered."""
        return self.cupy.asarray(np.ascontiguousarray(array, dtype=dtype))

    def has(self, array: Any) -> bool:
        """Whether an array is on the device."""
        return isinstance(array, self.cupy.ndarray)

    def empty(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> Any:
        """An array on the device, its values anything."""
        return self.cupy.empty(shape, dtype)

    def pinned(self, shape: tuple[int, ...], dtype: DTypeLike = np.float32) -> NDArray[Any]:
        """An array of the host that copies to and from the device need not wait for."""
        array: NDArray[Any] = self._cupyx.empty_pinned(shape, dtype)
        return array

    def stream(self) -> Any:
        """A new stream; ``with stream:`` makes it the current one."""
        return self.cupy.cuda.Stream(non_blocking=True)

    def event(self) -> Any:
        """What the current stream has been given until now, for other streams to wait for."""
        event = self.cupy.cuda.Event(disable_timing=True)
        event.record(self.cupy.cuda.get_current_stream())
        return event
