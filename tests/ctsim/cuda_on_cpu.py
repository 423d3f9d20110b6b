"""Runs the arithmetic of a CUDA kernel on the CPU: the same source, compiled as C++, one thread after the other."""

from __future__ import annotations

import ctypes
import re
import subprocess
from pathlib import Path

import numpy as np

SHIM = """
#include <cmath>
#include <algorithm>
using std::min; using std::max;
struct Triple { unsigned x, y, z; };
static Triple blockIdx, blockDim, threadIdx;
#define __global__
#define __restrict__
"""

TYPES = {"int": ctypes.c_int, "double": ctypes.c_double, "float": ctypes.c_float, "long long": ctypes.c_longlong}


class CudaOnCpu:
    """Kernels of one ``.cu`` file as Python functions over NumPy arrays."""

    def __init__(self, source: Path, folder: Path, compiler: str) -> None:
        self.text = source.read_text()
        self.kernels = dict(re.findall(r'extern "C" __global__ void (\w+)\(([^)]*)\)', self.text.replace("\n", " ")))
        launches = "".join(
            f'extern "C" void launch_{name}(int blocks, int threads, {arguments}) {{'
            " blockDim = {(unsigned)threads, 1, 1};"
            " for (int b = 0; b < blocks; ++b) for (int t = 0; t < threads; ++t) {"
            " blockIdx = {(unsigned)b, 0, 0}; threadIdx = {(unsigned)t, 0, 0};"
            f" {name}({', '.join(self.names(arguments))}); }} }}\n"
            for name, arguments in self.kernels.items()
        )
        unit = folder / f"{source.stem}.cpp"
        unit.write_text(SHIM + self.text + launches)
        library = folder / f"{source.stem}.so"
        subprocess.run(
            [compiler, "-O2", "-ffp-contract=off", "-shared", "-fPIC", "-o", str(library), str(unit)], check=True
        )
        self.library = ctypes.CDLL(str(library))

    @staticmethod
    def names(arguments: str) -> list[str]:
        return [re.split(r"[\s*]+", argument.strip())[-1] for argument in arguments.split(",")]

    def launch(self, name: str, n_threads: int, *values: object, block: int = 128) -> None:
        arguments = [argument.strip() for argument in self.kernels[name].split(",")]
        assert len(arguments) == len(values)
        converted: list[object] = []
        for argument, value in zip(arguments, values, strict=True):
            if "*" in argument:
                assert isinstance(value, np.ndarray)
                assert value.flags.c_contiguous
                converted.append(ctypes.c_void_p(value.ctypes.data))
            else:
                converted.append(TYPES[argument.removeprefix("const ").rsplit(" ", 1)[0]](value))
        getattr(self.library, f"launch_{name}")((n_threads + block - 1) // block, block, *converted)
