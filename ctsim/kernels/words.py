"""Basis densities of voxels, two in one 32-bit word (see :mod:`ctsim.voxels`).

Float policy: each voxel is worked in float64 on its own and rounded to whole units.
"""

from __future__ import annotations

import numpy as np
from numba import njit, prange
from numba.extending import register_jitable


@njit(cache=True, parallel=True)
def pack_words(
    material_a,
    material_b,
    fraction_b,
    density,
    table,
    fraction_step,
    scale,
    room_air,
    with_iodine,
    below,
    words,
    iodine,
    beyond,
):
    """Overwrite ``words`` and ``iodine`` ``(y, x, z)`` from arrays ``(z, y, x)``; count values beyond 16 bits.

    They may be longer in z than the arrays: the outermost slices go on at both ends.

    table   (M, 3) float64  grams of each channel per gram of material
    scale   (3,)   float64  density units of the twin per unit of each channel
    room_air (3,)  float64  units of room air in each channel
    below          int      slices before the first of the arrays
    beyond  (Y, 3) int64    voxels of each y whose value does not fit
    """
    nz, ny, nx = density.shape
    for y in prange(ny):
        for z in range(nz):
            for x in range(nx):
                a, b = material_a[z, y, x], material_b[z, y, x]
                f = fraction_b[z, y, x] * fraction_step
                rho = float(density[z, y, x])
                unit = np.zeros(3, np.int64)
                for channel in range(3):
                    value = (
                        rho * ((1.0 - f) * table[a, channel] + f * table[b, channel]) * scale[channel]
                        - room_air[channel]
                    )
                    unit[channel] = int(max(value, 0.0) + 0.5)
                    if unit[channel] > 65535:
                        beyond[y, channel] += 1
                        unit[channel] = 65535
                words[y, x, below + z] = np.uint32(unit[0] | (unit[1] << 16))
                if with_iodine:
                    iodine[y, x, below + z] = np.uint16(unit[2])
        for x in range(nx):
            _go_on(words[y, x], below, below + nz)
            if with_iodine:
                _go_on(iodine[y, x], below, below + nz)


@register_jitable
def _go_on(line, first, end):
    """Repeat the values at ``first`` and before ``end`` to the ends of the line."""
    for z in range(first):
        line[z] = line[first]
    for z in range(end, len(line)):
        line[z] = line[end - 1]
