"""Monte Carlo transport of photons from 10 to 150 keV through a body, with forced detection and a kerma tally.

Woodcock (delta) tracking: flights are drawn with the largest attenuation anywhere; a collision is real with the ratio
of the attenuation there to it. At a real collision the photon's weight drops by the absorbed share (photoelectric), and
it goes on by coherent scatter (F^2 (1 + cos^2) / 2, F the form factor) or incoherent scatter (Klein-Nishina times
S(x)); Russian roulette ends light photons. Electrons stop where they are made. Fluorescence, Doppler broadening and the
interference of molecules are left out.

At every real collision one point of the detector, drawn uniformly, is given the expected energy that it would absorb
from a first or further scatter there (forced detection, next-event estimator): the differential cross-section in its
direction times the transmission on the way there. Kerma is scored by the length of every flight in ring-shaped
chambers.

Every number is drawn from Philox with (draw, photon, batch) as counter; batches have their own tallies, so the number
of threads changes nothing. float64, no fastmath.

Lengths mm, energies keV, densities g/cm3. Tables over energy have 1 keV steps from 10 to 150 keV, tables over
x = sin(theta / 2) / wavelength steps of ``X_STEP`` from 0.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit, prange, uint32

from .noise import philox

X_STEP = 0.01
"""Step of tables over x [1/angstrom]."""

HC_KEV_ANGSTROM = 12.398419843
ELECTRON_KEV = 510.99895
LOWEST_KEV = 10.0
LIGHT = 0.05
"""Weight, relative to that at the start, below which roulette is played."""


@njit(cache=True)
def _uniform(state, buffer):
    """The next number in (0, 1); state: draw, photon, batch, key low, key high, numbers used of the buffer."""
    used = state[5]
    if used == 4:
        w0, w1, w2, w3 = philox(state[0], state[1], state[2], 0, state[3], state[4])
        buffer[0], buffer[1], buffer[2], buffer[3] = w0, w1, w2, w3
        state[0] += 1
        used = 0
    state[5] = used + 1
    return (buffer[used] + 0.5) / 4294967296.0


@njit(cache=True)
def _at_energy(table, m, energy):
    place = energy - LOWEST_KEV
    i = min(max(int(place), 0), table.shape[1] - 2)
    return table[m, i] + (place - i) * (table[m, i + 1] - table[m, i])


@njit(cache=True)
def _at_x(table, m, x):
    place = x / X_STEP
    i = min(int(place), table.shape[1] - 2)
    return table[m, i] + min(place - i, 1.0) * (table[m, i + 1] - table[m, i])


@njit(cache=True)
def _locate(x, y, z, solids, voxels, density, lattice):
    """Material and density at a point; material -1 outside."""
    if voxels.size > 0:
        k = math.floor((z - lattice[0]) / lattice[3] + 0.5)
        j = math.floor((y - lattice[1]) / lattice[4] + 0.5)
        i = math.floor((x - lattice[2]) / lattice[5] + 0.5)
        if 0 <= k < voxels.shape[0] and 0 <= j < voxels.shape[1] and 0 <= i < voxels.shape[2]:
            return int(voxels[k, j, i]), float(density[k, j, i])
        return -1, 0.0
    for n in range(len(solids) - 1, -1, -1):
        s = solids[n]
        if s[4] <= z <= s[5]:
            p, q = (x - s[0]) / s[2], (y - s[1]) / s[3]
            if p * p + q * q <= 1.0:
                return int(s[7]), s[6]
    return -1, 0.0


@njit(cache=True)
def _slab(start, step, low, high, enter, leave):
    """Narrow the stretch [enter, leave] of a line to where one of its coordinates is between low and high."""
    if abs(step) < 1e-12:
        return (enter, leave) if low <= start <= high else (1.0, 0.0)
    a, b = (low - start) / step, (high - start) / step
    return max(enter, min(a, b)), min(leave, max(a, b))


@njit(cache=True)
def _box(x, y, z, dx, dy, dz, box):
    """Where a line enters and leaves the body's box, never before its start; enter > leave: it misses."""
    enter, leave = _slab(x, dx, box[0], box[1], 0.0, 1e30)
    enter, leave = _slab(y, dy, box[2], box[3], enter, leave)
    return _slab(z, dz, box[4], box[5], enter, leave)


@njit(cache=True)
def _chord(x, y, z, dx, dy, dz, s, reach):
    """Length of a line from its start to ``reach`` inside an elliptical cylinder ``s`` with ends."""
    p, q = (x - s[0]) / s[2], (y - s[1]) / s[3]
    u, v = dx / s[2], dy / s[3]
    a, b, c = u * u + v * v, p * u + q * v, p * p + q * q - 1.0
    enter, leave = 0.0, reach
    if a < 1e-18:
        if c > 0.0:
            return 0.0
    else:
        root = b * b - a * c
        if root <= 0.0:
            return 0.0
        root = math.sqrt(root)
        enter, leave = max(0.0, (-b - root) / a), min(reach, (-b + root) / a)
    enter, leave = _slab(z, dz, s[4], s[5], enter, leave)
    return max(0.0, leave - enter)


@njit(cache=True)
def path_g_cm2(x, y, z, dx, dy, dz, solids, voxels, density, lattice, box, out) -> None:
    """Overwrite ``out`` (materials,) with the area densities on a line from a point on [g/cm2]."""
    out[:] = 0.0
    enter, leave = _box(x, y, z, dx, dy, dz, box)
    if leave <= enter:
        return
    if voxels.size > 0:
        step = min(lattice[3], lattice[4], lattice[5])
        n = max(1, math.ceil((leave - enter) / step))
        step = (leave - enter) / n
        for i in range(n):
            t = enter + (i + 0.5) * step
            m, rho = _locate(x + t * dx, y + t * dy, z + t * dz, solids, voxels, density, lattice)
            if m >= 0:
                out[m] += 0.1 * rho * step
        return
    for n in range(len(solids)):
        s = solids[n]
        length = 0.1 * _chord(x, y, z, dx, dy, dz, s, leave)
        if length > 0.0:
            out[int(s[7])] += s[6] * length
            parent = int(s[8])
            if parent >= 0:
                out[int(solids[parent, 7])] -= solids[parent, 6] * length


@njit(cache=True)
def _turn(dx, dy, dz, cosine, phi):
    """A direction turned by the angle of ``cosine`` about itself at azimuth phi."""
    sine = math.sqrt(max(0.0, 1.0 - cosine * cosine))
    cp, sp = math.cos(phi), math.sin(phi)
    across = math.sqrt(max(0.0, 1.0 - dz * dz))
    if across < 1e-9:
        return sine * cp, sine * sp, cosine if dz > 0 else -cosine
    a = sine * (dx * dz * cp - dy * sp) / across + cosine * dx
    b = sine * (dy * dz * cp + dx * sp) / across + cosine * dy
    c = -sine * across * cp + cosine * dz
    size = math.sqrt(a * a + b * b + c * c)
    return a / size, b / size, c / size


@njit(cache=True)
def klein_nishina(energy, cosine):
    """Differential cross-section of a free electron at rest, in units of r_e^2 per steradian."""
    ratio = 1.0 / (1.0 + energy / ELECTRON_KEV * (1.0 - cosine))
    return 0.5 * ratio * ratio * (ratio + 1.0 / ratio - (1.0 - cosine * cosine))


@njit(cache=True)
def draw_coherent(energy, m, form_cumulated, state, buffer):
    """Cosine of a coherent scatter: x^2 from the cumulated F^2, then the Thomson factor by rejection."""
    largest = energy / HC_KEV_ANGSTROM
    row = form_cumulated[m]
    place = min(largest / X_STEP, row.size - 1.000001)
    i = int(place)
    low, high = float(i) ** 2, float(i + 1) ** 2
    total = row[i] + (place * place - low) / (high - low) * (row[i + 1] - row[i])
    while True:
        u = _uniform(state, buffer) * total
        a, b = 0, row.size - 1
        while b - a > 1:
            c = (a + b) // 2
            if row[c] <= u:
                a = c
            else:
                b = c
        square = float(a) ** 2 + (u - row[a]) / max(row[b] - row[a], 1e-300) * (float(b) ** 2 - float(a) ** 2)
        cosine = 1.0 - 2.0 * square * X_STEP * X_STEP / (largest * largest)
        cosine = max(cosine, -1.0)
        if _uniform(state, buffer) * 2.0 <= 1.0 + cosine * cosine:
            return cosine


@njit(cache=True)
def draw_incoherent(energy, m, bound, state, buffer):
    """Cosine and energy of an incoherent scatter: Klein-Nishina (Kahn's rejection), then S(x) by rejection."""
    k = energy / ELECTRON_KEV
    most = _at_x(bound, m, energy / HC_KEV_ANGSTROM)
    while True:
        u, v, w = _uniform(state, buffer), _uniform(state, buffer), _uniform(state, buffer)
        if u * (9.0 + 2.0 * k) <= 1.0 + 2.0 * k:
            ratio = 1.0 + 2.0 * k * v  # energy before / energy after
            fits = w <= 4.0 * (1.0 / ratio - 1.0 / (ratio * ratio))
        else:
            ratio = (1.0 + 2.0 * k) / (1.0 + 2.0 * k * v)
            c = 1.0 - (ratio - 1.0) / k
            fits = w <= 0.5 * (c * c + 1.0 / ratio)
        if fits:
            cosine = 1.0 - (ratio - 1.0) / k
            x = energy / HC_KEV_ANGSTROM * math.sqrt(max(0.0, 0.5 * (1.0 - cosine)))
            if _uniform(state, buffer) * most <= _at_x(bound, m, x):
                return cosine, energy / ratio


@njit(cache=True)
def _ring(x, y, z, dx, dy, dz, reach, inner, outer, half):
    """Length of a flight in a ring about the z axis."""
    s = np.array([0.0, 0.0, outer, outer, -half, half])
    length = _chord(x, y, z, dx, dy, dz, s, reach)
    if inner > 0.0 and length > 0.0:
        s[2], s[3] = inner, inner
        length -= _chord(x, y, z, dx, dy, dz, s, reach)
    return length


@njit(cache=True)
def _force(
    x, y, z, dx, dy, dz, energy, weight, m, order, place, source, detector, tables, norms, angular, body, path, tally
) -> None:
    """Add what one point of the detector is expected to absorb from a scatter at a point."""
    total, coherent, incoherent, depth = tables
    solids, voxels, density, lattice, box = body
    form, bound = angular
    n_rows, n_columns = tally.shape[0], tally.shape[1]
    sid, sdd, cos_b, sin_b = source
    gamma = detector[0] + place[0] * (detector[1] - detector[0])
    v = detector[2] + place[1] * (detector[3] - detector[2])
    cg, sg = math.cos(gamma), math.sin(gamma)
    ix, iy = -cg * cos_b - sg * sin_b, -cg * sin_b + sg * cos_b  # in-plane direction of the cell's ray
    tx = sid * cos_b + sdd * ix - x
    ty = sid * sin_b + sdd * iy - y
    tz = v - z
    distance = math.sqrt(tx * tx + ty * ty + tz * tz)
    tx, ty, tz = tx / distance, ty / distance, tz / distance
    facing = tx * ix + ty * iy
    if facing <= 0.01:
        return
    cosine = min(1.0, max(-1.0, dx * tx + dy * ty + dz * tz))
    half = math.sqrt(0.5 * (1.0 - cosine)) * energy / HC_KEV_ANGSTROM
    path_g_cm2(x, y, z, tx, ty, tz, solids, voxels, density, lattice, box, path)
    cell = weight * facing / (distance * distance)
    after = energy / (1.0 + energy / ELECTRON_KEV * (1.0 - cosine))
    for process in range(2):
        e = energy if process == 0 else after
        if e <= LOWEST_KEV:
            continue
        if process == 0:
            share = _at_energy(coherent, m, energy) * _at_x(form, m, half) * 0.5 * (1.0 + cosine * cosine)
        else:
            share = _at_energy(incoherent, m, energy) * klein_nishina(energy, cosine) * _at_x(bound, m, half)
        share /= _at_energy(norms[process], m, energy) * _at_energy(total, m, energy)
        tau = 0.0
        for k in range(path.size):
            if path[k] != 0.0:
                tau += path[k] * _at_energy(total, k, e)
        absorbed = cell * share * math.exp(-tau) * -math.expm1(-_at_energy(depth, 0, e) / facing) * e
        r = min(int(place[1] * n_rows), n_rows - 1)
        c = min(int(place[0] * n_columns), n_columns - 1)
        tally[r, c, process if order == 0 else 2] += absorbed
        tally[r, c, 3] += absorbed * e


@njit(cache=True, parallel=True, error_model="numpy")
def transport(
    n_per_batch,
    key_low,
    key_high,
    turn,
    distances,
    beam,
    spectrum_cumulated,
    bowtie,
    detector,
    tables,
    norms,
    angular,
    form_cumulated,
    majorant,
    body,
    rings,
    kerma_weight,
    tally,
    kerma,
    balance,
) -> None:
    """Follow ``n_per_batch`` photons for each batch and add to the tallies.

    turn          (2,)  view angle: from, span; drawn uniformly [rad]
    distances     (2,)  SID, SDD
    beam          (4,)  fan angle from, to [rad], height on the detector from, to
    spectrum_cumulated (140,) distribution function of the bins from 10-11 to 149-150 keV
    bowtie        (G, 141)  transmission at G fan angles, equally spaced over the beam
    detector      (4,)  fan angle from, to, height from, to of what is tallied
    tables        total, coherent, incoherent (M, 141) [cm2/g]; depth (1, 141): mu d of the scintillator [1]
    norms         coherent, incoherent (M, 141): integrals of the angular functions over 4 pi
    angular       F^2 and S per gram (M, X)
    form_cumulated (M, X)   integral of F^2 over x^2 in units of X_STEP^2
    majorant      (141,)    largest attenuation anywhere [1/mm]
    body          solids (N, 9): x, y, half axes along x, y, z from, to, density, material, parent;
                  voxels (z, y, x) uint8 and their density float32; lattice (6,): origin, spacing (z, y, x);
                  box (6,): x from, to, y from, to, z from, to
    rings         (K, 3)    inner, outer radius, half length
    kerma_weight  (1, 141)  mass energy-absorption coefficient of air [cm2/g]
    tally         (B, rows, columns, 4) added: per mm2, absorbed keV of first coherent, first incoherent and
                  further scatter, then keV2 of all; times rows x columns / photons to be done by the caller
    kerma         (B, K)    added: keV cm2/g mm
    balance       (B, 3)    added: keV emitted, deposited in the body, escaped
    """
    total, coherent, incoherent, _ = tables
    solids, voxels, density, lattice, box = body
    for batch in prange(tally.shape[0]):
        state = np.zeros(6, np.int64)
        buffer = np.empty(4)
        path = np.zeros(total.shape[0])
        place = np.empty(2)
        for photon in range(n_per_batch):
            state[0], state[1], state[2], state[5] = 0, photon, batch, 4
            state[3], state[4] = uint32(key_low), uint32(key_high)
            beta = turn[0] + turn[1] * _uniform(state, buffer)
            across, up = _uniform(state, buffer), _uniform(state, buffer)
            gamma = beam[0] + across * (beam[1] - beam[0])
            height = beam[2] + up * (beam[3] - beam[2])
            u = _uniform(state, buffer) * spectrum_cumulated[-1]
            i = np.searchsorted(spectrum_cumulated, u)
            energy = LOWEST_KEV + min(i, 139) + _uniform(state, buffer)
            slant = distances[1] / math.sqrt(distances[1] ** 2 + height * height)
            g = min(across * (bowtie.shape[0] - 1), bowtie.shape[0] - 1.000001)
            low = _at_energy(bowtie, int(g), energy)
            start = slant**3 * (low + (g - int(g)) * (_at_energy(bowtie, int(g) + 1, energy) - low))
            weight = start
            cos_b, sin_b = math.cos(beta), math.sin(beta)
            cg, sg = math.cos(gamma), math.sin(gamma)
            x, y, z = distances[0] * cos_b, distances[0] * sin_b, 0.0
            dx, dy = slant * (-cg * cos_b - sg * sin_b), slant * (-cg * sin_b + sg * cos_b)
            dz = height / distances[1] * slant
            source = (distances[0], distances[1], cos_b, sin_b)
            balance[batch, 0] += weight * energy
            enter, leave = _box(x, y, z, dx, dy, dz, box)
            if enter >= leave:
                balance[batch, 2] += weight * energy
                continue
            x, y, z = x + enter * dx, y + enter * dy, z + enter * dz
            order = 0
            while True:
                _, leave = _box(x, y, z, dx, dy, dz, box)
                e = min(max(int(energy - LOWEST_KEV), 0), 139)
                largest = max(majorant[e], majorant[e + 1])
                flight = -math.log(_uniform(state, buffer)) / largest
                reach = min(flight, leave)
                for k in range(len(rings)):
                    length = _ring(x, y, z, dx, dy, dz, reach, rings[k, 0], rings[k, 1], rings[k, 2])
                    if length > 0.0:
                        kerma[batch, k] += weight * energy * _at_energy(kerma_weight, 0, energy) * length
                if flight >= leave:
                    balance[batch, 2] += weight * energy
                    break
                x, y, z = x + flight * dx, y + flight * dy, z + flight * dz
                m, rho = _locate(x, y, z, solids, voxels, density, lattice)
                if m < 0:
                    continue
                mu = _at_energy(total, m, energy)
                if _uniform(state, buffer) * largest > 0.1 * rho * mu:
                    continue
                if tally.shape[2] > 0:
                    place[0], place[1] = _uniform(state, buffer), _uniform(state, buffer)
                    _force(
                        x, y, z, dx, dy, dz, energy, weight, m, order, place, source, detector, tables, norms, angular,
                        body, path, tally[batch],
                    )  # fmt: skip
                order += 1
                elastic, inelastic = _at_energy(coherent, m, energy), _at_energy(incoherent, m, energy)
                balance[batch, 1] += weight * energy * (1.0 - (elastic + inelastic) / mu)
                weight *= (elastic + inelastic) / mu
                if _uniform(state, buffer) * (elastic + inelastic) < elastic:
                    cosine, after = draw_coherent(energy, m, form_cumulated, state, buffer), energy
                else:
                    cosine, after = draw_incoherent(energy, m, angular[1], state, buffer)
                balance[batch, 1] += weight * (energy - after)
                energy = after
                if energy <= LOWEST_KEV + 0.5:
                    balance[batch, 1] += weight * energy
                    break
                if weight < LIGHT * start:
                    if _uniform(state, buffer) >= weight / (LIGHT * start):
                        break
                    weight = LIGHT * start
                dx, dy, dz = _turn(dx, dy, dz, cosine, 2.0 * math.pi * _uniform(state, buffer))
