// From noise-free moments to what the detector reads, and from there to line integrals, on a GPU: what readings.py,
// scatter.py, crosstalk.py, noise.py, afterglow.py and correct.py define, one thread per reading (afterglow: per cell).
//
// Float policy: that of the CPU's kernels step by step (float32 stored between steps; moments, scatter, crosstalk,
// afterglow, quantiles, logarithm and polynomial in double), so that readings agree but for rounding, and counts but
// where a quantile lies within rounding of a whole number. No fast-math options. Same bytes for any launch.

#define INDEX ((long long)blockIdx.x * blockDim.x + threadIdx.x)

// Values (v, r, c) at nodes, interpolated linearly at a reading, never below 0; `low` and `share`: lower node of every
// view of the block, row and column, and share of the upper one.
__device__ __forceinline__ double at_nodes(
    const double* values, const int* low, const double* share, const int n_nodes_v, const int n_nodes_r,
    const int n_nodes_c, const int n_views, const int n_rows, const int v, const int r, const int c)
{
    const int i = low[v], j = low[n_views + r], k = low[n_views + n_rows + c];
    const double fi = share[v], fj = share[n_views + r], fk = share[n_views + n_rows + c];
    const int a = min(i + 1, n_nodes_v - 1), b = min(j + 1, n_nodes_r - 1);
    double line[2];
    for (int side = 0; side < 2; ++side) {
        const int n = min(k + side, n_nodes_c - 1);
        const double below = (1.0 - fj) * values[(i * n_nodes_r + j) * n_nodes_c + n]
                             + fj * values[(i * n_nodes_r + b) * n_nodes_c + n];
        const double above = (1.0 - fj) * values[(a * n_nodes_r + j) * n_nodes_c + n]
                             + fj * values[(a * n_nodes_r + b) * n_nodes_c + n];
        line[side] = fmax((1.0 - fi) * below + fi * above, 0.0);
    }
    return fmax((1.0 - fk) * line[0] + fk * line[1], 0.0);
}

// Overwrite `mean` and `mean_square` (V, R, C) with M1 [keV] and M2 [keV2] of primary and scatter at each view's mAs.
//
// primary (V, R, C) float32 [keV per mAs]; energy_units (V, R, C) uint16, mean energies in steps of step_kev
// scatter, scatter_kev (v, r, c) float64: signal per mAs [keV] and mean energy [keV] at nodes; n_nodes_v 0: none
// mas (V,) float64
extern "C" __global__ void expect(
    const float* primary, const unsigned short* energy_units, const double step_kev,
    const double* scatter, const double* scatter_kev, const int* low, const double* share,
    const int n_nodes_v, const int n_nodes_r, const int n_nodes_c,
    const double* mas, const int n_views, const int n_rows, const int n_columns, float* mean, float* mean_square)
{
    const long long at = INDEX;
    if (at >= (long long)n_views * n_rows * n_columns) return;
    const int c = (int)(at % n_columns), r = (int)(at / n_columns % n_rows), v = (int)(at / ((long long)n_columns * n_rows));
    double first = primary[at];
    double second = first * energy_units[at] * step_kev;
    if (n_nodes_v > 0) {
        const float signal = (float)at_nodes(scatter, low, share, n_nodes_v, n_nodes_r, n_nodes_c, n_views, n_rows, v, r, c);
        const float energy =
            (float)at_nodes(scatter_kev, low, share, n_nodes_v, n_nodes_r, n_nodes_c, n_views, n_rows, v, r, c);
        first += signal;
        second += (double)signal * energy;
    }
    mean[at] = (float)(mas[v] * first);
    mean_square[at] = (float)(mas[v] * second);
}

// One row of a view after crosstalk along columns, as stored.
__device__ __forceinline__ double along_columns(const float* row, const int c, const int n_columns, const double share)
{
    if (!(share > 0.0)) return row[c];
    const double here = row[c], before = row[max(c - 1, 0)], after = row[min(c + 1, n_columns - 1)];
    return (float)(here + share * (before - 2.0 * here + after));
}

// Overwrite `out` (V, R, C) with what the cells of `in` hold after crosstalk along columns, then rows.
extern "C" __global__ void mix(
    const float* in, const double share_columns, const double share_rows,
    const int n_views, const int n_rows, const int n_columns, float* out)
{
    const long long at = INDEX;
    if (at >= (long long)n_views * n_rows * n_columns) return;
    const int c = (int)(at % n_columns), r = (int)(at / n_columns % n_rows);
    const float* view = in + (at / ((long long)n_columns * n_rows)) * n_rows * n_columns;
    double here = along_columns(view + r * n_columns, c, n_columns, share_columns);
    if (share_rows > 0.0) {
        const double below = along_columns(view + max(r - 1, 0) * n_columns, c, n_columns, share_columns);
        const double above = along_columns(view + min(r + 1, n_rows - 1) * n_columns, c, n_columns, share_columns);
        here = here + share_rows * (below - 2.0 * here + above);
    }
    out[at] = (float)here;
}

// Philox4x32-10 (Salmon et al., SC'11, doi:10.1145/2063384.2063405): four random words of a counter and a key.
__device__ __forceinline__ void philox(unsigned int* w, unsigned int key_low, unsigned int key_high)
{
    for (int round = 0; round < 10; ++round) {
        const unsigned int high_0 = __umulhi(0xD2511F53u, w[0]), low_0 = 0xD2511F53u * w[0];
        const unsigned int high_1 = __umulhi(0xCD9E8D57u, w[2]), low_1 = 0xCD9E8D57u * w[2];
        w[0] = high_1 ^ w[1] ^ key_low;
        w[2] = high_0 ^ w[3] ^ key_high;
        w[1] = low_1;
        w[3] = low_0;
        key_low += 0x9E3779B9u;
        key_high += 0xBB67AE85u;
    }
}

__device__ __forceinline__ double uniform(const unsigned int high, const unsigned int low)
{
    const unsigned long long bits = ((unsigned long long)high << 20) | (low >> 12);
    return ((double)bits + 0.5) * (1.0 / 4503599627370496.0);
}

__device__ __forceinline__ double polynomial(
    const double x, const double a, const double b, const double c, const double d, const double e, const double f,
    const double g, const double h)
{
    return ((((((a * x + b) * x + c) * x + d) * x + e) * x + f) * x + g) * x + h;
}

// Inverse of the normal distribution function: Wichura, AS 241, PPND16 (Appl Stat 37 (1988) 477).
__device__ __forceinline__ double normal_quantile(const double u)
{
    const double q = u - 0.5;
    if (fabs(q) <= 0.425) {
        const double r = 0.180625 - q * q;
        return q
               * polynomial(r, 2.5090809287301226727e3, 3.3430575583588128105e4, 6.7265770927008700853e4,
                            4.5921953931549871457e4, 1.3731693765509461125e4, 1.9715909503065514427e3,
                            1.3314166789178437745e2, 3.3871328727963666080e0)
               / polynomial(r, 5.2264952788528545610e3, 2.8729085735721942674e4, 3.9307895800092710610e4,
                            2.1213794301586595867e4, 5.3941960214247511077e3, 6.8718700749205790830e2,
                            4.2313330701600911252e1, 1.0);
    }
    double r = sqrt(-log(q < 0.0 ? u : 1.0 - u)), value;
    if (r <= 5.0) {
        r -= 1.6;
        value = polynomial(r, 7.74545014278341407640e-4, 2.27238449892691845833e-2, 2.41780725177450611770e-1,
                           1.27045825245236838258e0, 3.64784832476320460504e0, 5.76949722146069140550e0,
                           4.63033784615654529590e0, 1.42343711074968357734e0)
                / polynomial(r, 1.05075007164441684324e-9, 5.47593808499534494600e-4, 1.51986665636164571966e-2,
                             1.48103976427480074590e-1, 6.89767334985100004550e-1, 1.67638483018380384940e0,
                             2.05319162663775882187e0, 1.0);
    } else {
        r -= 5.0;
        value = polynomial(r, 2.01033439929228813265e-7, 2.71155556874348757815e-5, 1.24266094738807843860e-3,
                           2.65321895265761230930e-2, 2.96560571828504891230e-1, 1.78482653991729133580e0,
                           5.46378491116411436990e0, 6.65790464350110377720e0)
                / polynomial(r, 2.04426310338993978564e-15, 1.42151175831644588870e-7, 1.84631831751005468180e-5,
                             7.86869131145613259100e-4, 1.48753612908506148525e-2, 1.36929880922735805310e-1,
                             5.99832206555887937690e-1, 1.0);
    }
    return q < 0.0 ? -value : value;
}

// Count whose Poisson distribution function first reaches u; grows with u and with the mean (noise.py).
__device__ __forceinline__ double poisson_quantile(const double u, const double mean)
{
    if (mean <= 0.0) return 0.0;
    if (mean < 32.0) {
        int n = 0;
        double share = exp(-mean), total = share;
        while (u > total && n < 400) {
            ++n;
            share *= mean / n;
            total += share;
        }
        return (double)n;
    }
    const double z = normal_quantile(u), root = sqrt(mean);
    return floor(mean + root * z + (z * z - 1.0) / 6.0 + (z - z * z * z) / (72.0 * root) + 0.5);
}

// Overwrite M1 in `signal` (V, R, C) with one realisation of the energy that counted photons deposit [keV].
extern "C" __global__ void count(
    float* signal, const float* mean_square, const int first_view, const unsigned int key_low, const unsigned int key_high,
    const int n_views, const int n_rows, const int n_columns)
{
    const long long at = INDEX;
    if (at >= (long long)n_views * n_rows * n_columns) return;
    const float first = signal[at];
    if (!(first > 0.0f)) {
        signal[at] = 0.0f;
        return;
    }
    unsigned int w[4] = {(unsigned int)(at % n_columns), (unsigned int)(at / n_columns % n_rows),
                         (unsigned int)(first_view + at / ((long long)n_columns * n_rows)), 0u};
    philox(w, key_low, key_high);
    const float energy = mean_square[at] / first;
    const float mean = first / energy;
    signal[at] = mean > 0.0f ? (float)(energy * poisson_quantile(uniform(w[0], w[1]), mean)) : 0.0f;
}

// Overwrite `memory` (K, R, C) float64 with what afterglow holds when `before` (R, C) has gone on for ever.
//
// parts (3, K) float64: see glow
extern "C" __global__ void glow_begin(
    const float* before, const double* parts, const int n_parts, const int n_cells, double* memory)
{
    const long long at = INDEX;
    if (at >= (long long)n_parts * n_cells) return;
    const int k = (int)(at / n_cells);
    memory[at] = before[at % n_cells] * parts[2 * n_parts + k] / (1.0 - parts[n_parts + k]);
}

// Overwrite `signal` (V, R, C) with the light that is read in each view (afterglow.py), one thread per cell.
//
// parts  (3, K) float64  a (1 - exp(-d / tau)), exp(-d / tau), exp(-d / 2 tau) of the components, K up to MOST_PARTS
// prompt                 1 - sum a exp(-d / 2 tau)
// memory (K, R, C) float64, goes on from block to block
//
// AHEAD views are read before they are worked, so that their way from memory is waited for once.
#define MOST_PARTS 4
#define AHEAD 16
extern "C" __global__ void glow(
    float* signal, const double* parts, const int n_parts, const double prompt, const int n_views, const int n_cells,
    double* memory)
{
    const long long cell = INDEX;
    if (cell >= n_cells) return;
    double held[MOST_PARTS];
#pragma unroll
    for (int k = 0; k < MOST_PARTS; ++k) held[k] = k < n_parts ? memory[(long long)k * n_cells + cell] : 0.0;
    for (int begin = 0; begin < n_views; begin += AHEAD) {
        float* some = signal + (long long)begin * n_cells + cell;
        float light[AHEAD];
#pragma unroll
        for (int v = 0; v < AHEAD; ++v) light[v] = begin + v < n_views ? some[(long long)v * n_cells] : 0.0f;
#pragma unroll
        for (int v = 0; v < AHEAD; ++v) {
            if (begin + v >= n_views) break;
            const double y = light[v];
            double out = prompt * y;
#pragma unroll
            for (int k = 0; k < MOST_PARTS; ++k) {
                if (k >= n_parts) break;
                out += parts[k] * held[k];
                held[k] = held[k] * parts[n_parts + k] + y * parts[2 * n_parts + k];
            }
            some[(long long)v * n_cells] = (float)out;
        }
    }
#pragma unroll
    for (int k = 0; k < MOST_PARTS; ++k)
        if (k < n_parts) memory[(long long)k * n_cells + cell] = held[k];
}

// Overwrite `out` (V, R, C) with `signal` after gain, electronic noise, saturation and converter steps; may be the same.
//
// gain      (R, C) float32  left by calibration
// noise_kev                 standard deviation; 0: none
// limit_kev                 saturation; infinity: none
// step_kev                  of the converter; 0: none
extern "C" __global__ void electronics(
    const float* signal, const float* gain, const double noise_kev, const double limit_kev, const double step_kev,
    const int first_view, const unsigned int key_low, const unsigned int key_high,
    const int n_views, const int n_rows, const int n_columns, float* out)
{
    const long long at = INDEX;
    if (at >= (long long)n_views * n_rows * n_columns) return;
    float value = signal[at] * gain[at % ((long long)n_rows * n_columns)];
    if (noise_kev > 0.0) {
        unsigned int w[4] = {(unsigned int)(at % n_columns), (unsigned int)(at / n_columns % n_rows),
                             (unsigned int)(first_view + at / ((long long)n_columns * n_rows)), 0u};
        philox(w, key_low, key_high);
        value = (float)(value + noise_kev * normal_quantile(uniform(w[2], w[3])));
    }
    double read = fmin((double)value, limit_kev);
    if (step_kev > 0.0) read = floor(read / step_kev + 0.5) * step_kev;
    out[at] = (float)read;
}

// Overwrite `means` (v, r, c) float64 with those of `signal` (V, R, C) over nodes (ctsim/scatter/nodes.py).
//
// view (v,) int32: views that are nodes; row_edge (r + 1,), column_edge (c + 1,) int32: first readings of the nodes
extern "C" __global__ void pool(
    const float* signal, const int* view, const int* row_edge, const int* column_edge,
    const int n_nodes_v, const int n_nodes_r, const int n_nodes_c, const int n_rows, const int n_columns, double* means)
{
    const long long at = INDEX;
    if (at >= (long long)n_nodes_v * n_nodes_r * n_nodes_c) return;
    const int c = (int)(at % n_nodes_c), r = (int)(at / n_nodes_c % n_nodes_r);
    const float* readings = signal + (long long)view[at / ((long long)n_nodes_c * n_nodes_r)] * n_rows * n_columns;
    double total = 0.0;
    for (int y = row_edge[r]; y < row_edge[r + 1]; ++y)
        for (int x = column_edge[c]; x < column_edge[c + 1]; ++x) total += readings[y * n_columns + x];
    means[at] = total / ((double)(row_edge[r + 1] - row_edge[r]) * (column_edge[c + 1] - column_edge[c]));
}

// Subtract values at nodes times each view's mAs from `signal` (V, R, C), in place; see at_nodes.
extern "C" __global__ void subtract(
    float* signal, const double* values, const int* low, const double* share,
    const int n_nodes_v, const int n_nodes_r, const int n_nodes_c, const double* mas,
    const int n_views, const int n_rows, const int n_columns)
{
    const long long at = INDEX;
    if (at >= (long long)n_views * n_rows * n_columns) return;
    const int c = (int)(at % n_columns), r = (int)(at / n_columns % n_rows), v = (int)(at / ((long long)n_columns * n_rows));
    const double here = at_nodes(values, low, share, n_nodes_v, n_nodes_r, n_nodes_c, n_views, n_rows, v, r, c);
    signal[at] = (float)(signal[at] - mas[v] * here);
}

// Half width of a line of readings, its ends counted partly, whose mean has the noise of `wanted` readings (correct.py).
__device__ __forceinline__ double half_width(const double wanted, const double largest)
{
    const double k = floor(0.5 * (fmax(wanted, 1.0) - 1.0)), m = 2.0 * k + 1.0;
    const double square = 4.0 - 2.0 * wanted, rest = m * (wanted - m);
    return fmin(k + 2.0 * rest / (4.0 * m + sqrt(16.0 * m * m + 4.0 * square * rest)), largest);
}

// Overwrite `out` (V, R, C) with `in`, the readings that too few photons reached smoothed (correct.py: feed_starved).
extern "C" __global__ void feed_starved(
    const float* in, const double photon_kev, const double noise_kev, const double wanted, const double largest,
    const int n_views, const int n_rows, const int n_columns, float* out)
{
    const int LOCAL = 3;
    const long long at = INDEX;
    if (at >= (long long)n_views * n_rows * n_columns) return;
    const int c = (int)(at % n_columns), r = (int)(at / n_columns % n_rows);
    const float* view = in + (at / ((long long)n_columns * n_rows)) * n_rows * n_columns;
    const int c_low = max(c - LOCAL, 0), c_high = min(c + LOCAL, n_columns - 1);
    const int r_low = max(r - LOCAL, 0), r_high = min(r + LOCAL, n_rows - 1);
    double mean = 0.0;
    for (int s = r_low; s <= r_high; ++s)
        for (int d = c_low; d <= c_high; ++d) mean += view[s * n_columns + d];
    mean = fmax(mean / ((r_high - r_low + 1) * (c_high - c_low + 1)), 0.0);
    const double counts = mean > 0.0 ? mean * mean / (photon_kev * mean + noise_kev * noise_kev) : 0.0;
    if (!(counts < wanted)) {
        out[at] = in[at];
        return;
    }
    const double need = wanted / fmax(counts, 1e-6 * wanted);
    const double rows = fmin(fmin(sqrt(need), 2.0 * largest + 1.0), (double)n_rows);
    const double half_rows = fmin(half_width(rows, largest), 0.5 * (n_rows - 1));
    const double half_columns = half_width(need / rows, largest);
    const int reach_r = (int)ceil(half_rows), reach_c = (int)ceil(half_columns);
    double total = 0.0, weights = 0.0;
    for (int s = max(r - reach_r, 0); s <= min(r + reach_r, n_rows - 1); ++s) {
        const double in_rows = fmin(1.0, half_rows + 1.0 - abs(s - r));
        for (int d = max(c - reach_c, 0); d <= min(c + reach_c, n_columns - 1); ++d) {
            const double weight = in_rows * fmin(1.0, half_columns + 1.0 - abs(d - c));
            total += weight * view[s * n_columns + d];
            weights += weight;
        }
    }
    out[at] = (float)(total / weights);
}

// Overwrite `signal` (V, R, C) with water-corrected line integrals: logarithm and the cell's polynomial (correct.py).
//
// air (R, C) float64 [keV per mAs]; mas (V,) float64; floor_kev: least signal
// coefficient (R, C, K) float64 of p, p^2, ...; longest (R, C, 3) float64: p from which a line goes on, value, slope
extern "C" __global__ void line_integrals(
    float* signal, const double* air, const double* mas, const double floor_kev, const double* coefficient,
    const int order, const double* longest, const int n_views, const int n_cells)
{
    const long long at = INDEX;
    if (at >= (long long)n_views * n_cells) return;
    const long long cell = at % n_cells;
    const double p = (float)-log(fmax((double)signal[at], floor_kev) / (mas[at / n_cells] * air[cell]));
    const double* k = coefficient + cell * order;
    const double* end = longest + cell * 3;
    double corrected = 0.0;
    if (p <= 0.0) {
        corrected = k[0] * p;
    } else if (p >= end[0]) {
        corrected = end[1] + end[2] * (p - end[0]);
    } else {
        for (int power = order - 1; power >= 0; --power) corrected = (corrected + k[power]) * p;
    }
    signal[at] = (float)corrected;
}
