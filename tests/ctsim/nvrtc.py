"""NVIDIA's run-time compiler without driver or GPU: the wheel nvidia-cuda-nvrtc-cu12 of the extra ``test``."""

from __future__ import annotations

import ctypes
import importlib.util
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from ctsim.backends.gpu.device import OPTIONS


@dataclass(frozen=True, slots=True)
class Resources:
    """What a kernel takes, as the assembler says it."""

    registers: int
    stack_bytes: int
    spilled_bytes: int


@cache
def _library() -> ctypes.CDLL:
    package = importlib.util.find_spec("nvidia.cuda_nvrtc")
    assert package is not None, "NVRTC is missing: pip install 'lungtwin[test]'"
    folder = Path(package.submodule_search_locations[0]) / "lib"
    return ctypes.CDLL(str(next(folder.glob("libnvrtc.so.*"))))


def _text(library: ctypes.CDLL, program: ctypes.c_void_p, what: str) -> bytes:
    size = ctypes.c_size_t()
    assert getattr(library, f"nvrtcGet{what}Size")(program, ctypes.byref(size)) == 0
    buffer = ctypes.create_string_buffer(size.value)
    assert getattr(library, f"nvrtcGet{what}")(program, buffer) == 0
    return buffer.raw


def build(source: Path, architecture: str) -> tuple[bytes, bytes, dict[str, Resources]]:
    """PTX and machine code of a ``.cu`` file for ``"sm_80"`` or so, and what each of its kernels takes.

    Compiled with the options of the GPU backend; the compiler's messages are in the AssertionError if it fails.
    """
    library, program = _library(), ctypes.c_void_p()
    code = source.read_bytes()
    assert library.nvrtcCreateProgram(ctypes.byref(program), code, source.name.encode(), 0, None, None) == 0
    try:
        options = [f"--gpu-architecture={architecture}", "--ptxas-options=-v", *OPTIONS]
        given = (ctypes.c_char_p * len(options))(*(option.encode() for option in options))
        failed = library.nvrtcCompileProgram(program, len(options), given)
        log = _text(library, program, "ProgramLog").decode()
        assert not failed, log
        return _text(library, program, "PTX"), _text(library, program, "CUBIN"), _resources(log)
    finally:
        library.nvrtcDestroyProgram(ctypes.byref(program))


def _resources(log: str) -> dict[str, Resources]:
    pattern = (
        r"Compiling entry function '(\w+)'.*?(\d+) bytes stack frame, (\d+) bytes spill stores, (\d+) bytes spill loads"
        r".*?Used (\d+) registers"
    )
    return {
        name: Resources(int(registers), int(stack), int(stores) + int(loads))
        for name, stack, stores, loads, registers in re.findall(pattern, log, re.DOTALL)
    }
