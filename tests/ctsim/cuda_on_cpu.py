"""Runs the arithmetic of CUDA kernels on the CPU: the same source, compiled as C++, one thread after the other.

That is enough for kernels whose threads do not talk to each other (no shuffles, shared memory or barriers), as ours
are; a source with any of these does not compile here.
"""

from __future__ import annotations

import ctypes
import re
import subprocess
import tempfile
from functools import cache
from pathlib import Path

import numpy as np

import ctsim.kernels

KERNELS = Path(ctsim.kernels.__file__).parent

SHIM = """
#include <cmath>
#include <cstring>
#include <cstdint>
#include <algorithm>
using std::min; using std::max;
struct float2 { float x, y; };
struct Triple { unsigned x, y, z; };
static Triple blockIdx, blockDim, threadIdx, gridDim;
#define __global__
#define __device__
#define __constant__
#define __forceinline__ inline
#define __restrict__
#define __launch_bounds__(...)
static inline float __uint_as_float(uint32_t u) { float f; std::memcpy(&f, &u, 4); return f; }
static inline float __int_as_float(int32_t u) { float f; std::memcpy(&f, &u, 4); return f; }
static inline uint32_t __float_as_uint(float f) { uint32_t u; std::memcpy(&u, &f, 4); return u; }
static inline int32_t __float_as_int(float f) { int32_t u; std::memcpy(&u, &f, 4); return u; }
static inline uint32_t __byte_perm(uint32_t x, uint32_t y, uint32_t s) {
    const uint64_t bytes = ((uint64_t)y << 32) | x;
    uint32_t out = 0;
    for (int k = 0; k < 4; ++k) out |= (uint32_t)((bytes >> (8 * ((s >> (4 * k)) & 7))) & 0xFF) << (8 * k);
    return out;
}
static inline float __fadd_rd(float a, float b) {
    const double sum = (double)a + (double)b;
    const float near = (float)sum;
    return (double)near > sum ? std::nextafterf(near, -INFINITY) : near;
}
template <class T> static inline T __ldg(const T* place) { return *place; }
static inline uint32_t __umulhi(uint32_t a, uint32_t b) { return (uint32_t)(((uint64_t)a * b) >> 32); }
"""

TYPES = {
    "int": (ctypes.c_int, np.int32),
    "unsigned int": (ctypes.c_uint, np.uint32),
    "unsigned short": (ctypes.c_ushort, np.uint16),
    "unsigned char": (ctypes.c_ubyte, np.uint8),
    "long long": (ctypes.c_longlong, np.int64),
    "float": (ctypes.c_float, np.float32),
    "float2": (None, np.complex64),
    "double": (ctypes.c_double, np.float64),
}


class CudaOnCpu:
    """Kernels of one ``.cu`` file as Python functions over NumPy arrays."""

    def __init__(self, source: Path, folder: Path, compiler: str) -> None:
        text = source.read_text(encoding="utf-8")
        found = re.findall(r'extern "C" __global__ void (?:__launch_bounds__\(\d+\) )?(\w+)\(([^)]*)\)', text)
        self.kernels = {
            name: [self._argument(argument) for argument in arguments.split(",")] for name, arguments in found
        }
        assert len(self.kernels) == text.count("__global__"), f"{source.name}: a kernel's head is not understood"
        launches = "".join(
            f'extern "C" void launch_{name}(unsigned blocks, unsigned threads, {arguments}) {{'
            " blockDim = {threads, 1, 1}; gridDim = {blocks, 1, 1};"
            " for (unsigned b = 0; b < blocks; ++b) for (unsigned t = 0; t < threads; ++t) {"
            " blockIdx = {b, 0, 0}; threadIdx = {t, 0, 0};"
            f" {name}({', '.join(re.split(r'[ *]+', a.strip())[-1] for a in arguments.split(','))}); }} }}\n"
            for name, arguments in found
        )
        unit = folder / f"{source.stem}.cpp"
        unit.write_text(f'{SHIM}\n#line 1 "{source}"\n{text}{launches}', encoding="utf-8")
        shared = folder / f"{source.stem}.so"
        options = ["-std=c++17", "-O2", "-ffp-contract=off", "-Wno-narrowing", "-shared", "-fPIC"]
        subprocess.run([compiler, *options, "-o", str(shared), str(unit)], check=True)
        self.built = ctypes.CDLL(str(shared))

    @staticmethod
    def _argument(text: str) -> tuple[str, bool]:
        """Type, and whether it is a pointer."""
        words = text.replace("*", " * ").split()
        kept = [word for word in words[:-1] if word not in ("const", "*", "__restrict__")]
        return " ".join(kept), "*" in words

    def launch(self, name: str, n_threads: int, *values: object, block: int = 128) -> None:
        """Run a kernel; Python numbers become what it takes."""
        given = [
            value if isinstance(value, np.ndarray) or is_pointer else TYPES[kind][1](value)
            for (kind, is_pointer), value in zip(self.kernels[name], values, strict=True)
        ]
        self.launch_exactly(name, (n_threads + block - 1) // block, block, given)

    def launch_exactly(self, name: str, blocks: int, threads: int, values: list[object]) -> None:
        """Run a kernel on values of just its own types, as on a device: anything else would be read as other bytes."""
        arguments = self.kernels[name]
        assert len(arguments) == len(values), f"{name} takes {len(arguments)} arguments, got {len(values)}"
        converted: list[object] = []
        for place, ((kind, is_pointer), value) in enumerate(zip(arguments, values, strict=True)):
            plain, wanted = TYPES[kind]
            here = f"{name}, argument {place}"
            assert isinstance(value, np.ndarray if is_pointer else np.generic), f"{here}: got {type(value)}"
            assert value.dtype == wanted, f"{here}: must be {np.dtype(wanted)}, got {value.dtype}"
            if is_pointer:
                assert value.flags.c_contiguous, f"{here}: not contiguous"
                converted.append(ctypes.c_void_p(value.ctypes.data))
            else:
                converted.append(plain(value.item()))
        getattr(self.built, f"launch_{name}")(ctypes.c_uint(blocks), ctypes.c_uint(threads), *converted)


@cache
def _built(name: str, compiler: str) -> CudaOnCpu:
    return CudaOnCpu(KERNELS / f"{name}.cu", Path(tempfile.mkdtemp(prefix="cuda_on_cpu_")), compiler)


def cuda_on_cpu(name: str, system_tool) -> CudaOnCpu:
    """``kernels/<name>.cu``, compiled once in a test process."""
    return _built(name, system_tool("g++", "g++"))
