"""A stand-in for CuPy on a machine without a GPU: device arrays are NumPy arrays, kernels run through the C++ shim.

It is stricter than it is useful. Device and host arrays do not mix; kernels take nothing but device arrays and NumPy
scalars of just their own types; what is new on the device holds nonsense, not zeros; and work given to a stream is put
off until somebody waits for it, so that a result that is read too early, or overwritten while it is still needed, is
wrong here too. Only what the GPU backend uses is there.
"""

from __future__ import annotations

import sys
import types
from collections.abc import Callable

import numpy as np

from tests.ctsim.cuda_on_cpu import KERNELS, cuda_on_cpu

NAME = "Fake device"
MEMORY = 2**30


class Stream:
    """A queue of work that is done when somebody waits.

    What other streams were given is done as late as can be, or with ``others_first`` as early as can be: a device may
    do either, as long as events are waited for.
    """

    stack: list[Stream]
    known: list[Stream]
    others_first = False

    def __init__(self, non_blocking: bool = False) -> None:  # noqa: ARG002
        self.work: list[Callable[[], None]] = []
        Stream.known.append(self)

    def __enter__(self) -> Stream:
        Stream.stack.append(self)
        return self

    def __exit__(self, *_: object) -> None:
        Stream.stack.pop()

    def synchronize(self) -> None:
        for stream in reversed(Stream.known) if Stream.others_first else ():
            if stream is not self:
                stream.drain()
        self.drain()

    def drain(self) -> None:
        while self.work:
            self.work.pop(0)()

    def wait_event(self, event: Event) -> None:
        self.work.append(event.synchronize)

    def record(self, event: Event | None = None) -> Event:
        event = event or Event()
        event.record(self)
        return event


Stream.known = []
NULL = Stream()
Stream.stack = [NULL]


def current() -> Stream:
    return Stream.stack[-1]


class Event:
    """A place in a stream's queue."""

    def __init__(self, **_: object) -> None:
        self.before: list[Callable[[], None]] = []
        self.stream = NULL

    def record(self, stream: Stream | None = None) -> None:
        self.stream = stream or current()
        self.done = False
        self.stream.work.append(self._reached)

    def _reached(self) -> None:
        self.done = True

    def synchronize(self) -> None:
        while not self.done:
            self.stream.work.pop(0)()
        if Stream.others_first:
            self.stream.drain()


class Array(np.ndarray):
    """An array on the device."""

    def get(self, stream: Stream | None = None, order: str = "C", out=None, blocking: bool = True):  # noqa: ARG002
        assert self.flags.c_contiguous, "a copy from the device must be contiguous"
        target = np.empty(self.shape, self.dtype) if out is None else out
        assert type(target) is np.ndarray
        assert target.shape == self.shape
        assert target.dtype == self.dtype
        stream = stream or current()
        stream.work.append(lambda: np.copyto(target, self.view(np.ndarray)))
        if blocking:
            stream.synchronize()
        return target

    def set(self, array, stream: Stream) -> None:
        assert type(array) is np.ndarray
        assert array.shape == self.shape
        assert array.dtype == self.dtype
        stream.work.append(lambda: np.copyto(self.view(np.ndarray), array))

    def fill(self, value) -> None:
        current().work.append(lambda: self.view(np.ndarray).fill(value))

    def __array_ufunc__(self, ufunc, method, *inputs, out=None, **kwargs):
        current().synchronize()  # done at once, after all that the stream was given before
        plain = [_plain(x) for x in inputs]
        if out is not None:
            kwargs["out"] = tuple(_plain(x) for x in out)
        result = getattr(ufunc, method)(*plain, **kwargs)
        return out[0] if out is not None else np.asarray(result).view(Array)

    def __setitem__(self, key, value) -> None:
        current().synchronize()
        np.ndarray.__setitem__(self.view(np.ndarray), key, _plain(value))

    def __array__(self, *_, **__):
        raise TypeError("Implicit conversion to a NumPy array is not allowed")


def _plain(x):
    if isinstance(x, Array):
        return x.view(np.ndarray)
    assert not isinstance(x, np.ndarray) or x.ndim == 0, "an array of the host among those of the device"
    return x


def asarray(array, dtype=None) -> Array:
    """As CuPy's: the host's array may change as soon as the call has returned."""
    if isinstance(array, Array):
        assert dtype is None or array.dtype == dtype
        return array
    taken = np.array(array, dtype=dtype, order="C", copy=True)
    target = empty(taken.shape, taken.dtype)
    current().work.append(lambda: np.copyto(target.view(np.ndarray), taken))
    return target


def empty(shape, dtype=float) -> Array:
    """Nonsense: NaN, or the largest number."""
    dtype = np.dtype(dtype)
    nonsense = np.iinfo(dtype).max if dtype.kind in "iu" else np.nan
    return np.full(shape, nonsense, dtype).view(Array)


def zeros(shape, dtype=float) -> Array:
    array = empty(shape, dtype)
    array.fill(0)
    return array


def install(monkeypatch, system_tool, *, others_first: bool = False) -> types.ModuleType:
    """Put the stand-in where ``import cupy`` and ``import cupyx`` find it."""
    Stream.stack[:] = Stream.known[:] = [NULL]
    NULL.work.clear()
    monkeypatch.setattr(Stream, "others_first", others_first)

    class RawModule:
        def __init__(self, *, code: str, options: tuple[str, ...] = ()) -> None:  # noqa: ARG002
            (self.name,) = (p.stem for p in KERNELS.glob("*.cu") if p.read_text(encoding="utf-8") == code)

        def get_function(self, kernel: str):
            library = cuda_on_cpu(self.name, system_tool)
            assert kernel in library.kernels, f"{self.name}.cu has no kernel {kernel}"

            def run(grid, block, arguments, shared_mem: int = 0) -> None:
                (blocks,), (threads,) = grid, block
                assert 0 < threads <= 1024
                assert 0 < blocks < 2**31
                given = [value.view(np.ndarray) if isinstance(value, Array) else value for value in arguments]
                host = [value for value in arguments if type(value) is np.ndarray]
                assert not host, f"{kernel}: an array of the host among its arguments"
                current().work.append(lambda: library.launch_exactly(kernel, blocks, threads, given))

            return run

    class Pool:
        limit = 0

        def set_limit(self, size: int) -> None:
            Pool.limit = size

        def get_limit(self) -> int:
            return Pool.limit

        def total_bytes(self) -> int:
            return 0

        def free_all_blocks(self) -> None:
            pass

    runtime = types.SimpleNamespace(
        memGetInfo=lambda: (MEMORY, 2 * MEMORY), getDeviceProperties=lambda _: {"name": NAME.encode()}
    )
    device = types.SimpleNamespace(id=0, synchronize=lambda: None)
    cupy, cupyx = types.ModuleType("cupy"), types.ModuleType("cupyx")
    cupy.__dict__.update(
        is_available=lambda: True, asarray=asarray, empty=empty, zeros=zeros, ndarray=Array, RawModule=RawModule,
        float32=np.float32, complex64=np.complex64, get_default_memory_pool=Pool,
        cuda=types.SimpleNamespace(
            runtime=runtime, Device=lambda: device, Stream=Stream, Event=Event, get_current_stream=current
        ),
    )  # fmt: skip
    cupyx.empty_pinned = lambda shape, dtype=float: np.full(shape, 77, dtype)
    monkeypatch.setitem(sys.modules, "cupy", cupy)
    monkeypatch.setitem(sys.modules, "cupyx", cupyx)
    monkeypatch.setattr("ctsim.backends.find_spec", lambda _: object())
    return cupy
