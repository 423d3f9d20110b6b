// From area densities to noise-free moments on a GPU: what transmit.py and couch.py define, one thread per value.
//
// Float policy: float32, sums in the order of the calls, couch in double as on the CPU; no fast-math options. Each thread
// writes its own values: same bytes for any launch.

#define INDEX ((long long)blockIdx.x * blockDim.x + threadIdx.x)

__device__ __forceinline__ int within(const float x, const int last) { return min(max((int)x, 0), last); }

// Overwrite the first two channels of `path` with p [1] and Ebar [keV] of two-channel paths.
//
// path     (2, V, kR, mC) float32  area densities [g/cm2]
// air      (2, R, C)      float32  in the way without a body, less that at the first node [g/cm2]
// table    (n_0, n_1)     float2   p, Ebar
// per_0, per_1                     nodes per unit [cm2/g]
extern "C" __global__ void look_up(
    float* path, const float* air, const float2* table, const int n_0, const int n_1, const float per_0, const float per_1,
    const int n_views, const int n_rows, const int n_columns, const int rows_each, const int columns_each)
{
    const long long n = (long long)n_views * n_rows * n_columns, at = INDEX;
    if (at >= n) return;
    const int rows = n_rows / rows_each, columns = n_columns / columns_each;
    const int cell = (int)(at / n_columns % n_rows) / rows_each * columns + (int)(at % n_columns) / columns_each;
    const float x = (path[at] + air[cell]) * per_0;
    const float y = (path[at + n] + air[cell + rows * columns]) * per_1;
    const int i = within(x, n_0 - 2), j = within(y, n_1 - 2);
    const float fx = x - (float)i, fy = y - (float)j;
    const float2* node = table + (long long)i * n_1 + j;
    const float2 a = node[0], b = node[1], c = node[n_1], d = node[n_1 + 1];
    const float p_low = a.x + fy * (b.x - a.x), p_high = c.x + fy * (d.x - c.x);
    const float e_low = a.y + fy * (b.y - a.y), e_high = c.y + fy * (d.y - c.y);
    path[at] = p_low + fx * (p_high - p_low);
    path[at + n] = e_low + fx * (e_high - e_low);
}

// The same for three channels: path (3, V, kR, mC), table (n_0, n_1, n_2).
extern "C" __global__ void look_up_iodine(
    float* path, const float* air, const float2* table, const int n_0, const int n_1, const int n_2,
    const float per_0, const float per_1, const float per_2,
    const int n_views, const int n_rows, const int n_columns, const int rows_each, const int columns_each)
{
    const long long n = (long long)n_views * n_rows * n_columns, at = INDEX;
    if (at >= n) return;
    const int rows = n_rows / rows_each, columns = n_columns / columns_each;
    const int cell = (int)(at / n_columns % n_rows) / rows_each * columns + (int)(at % n_columns) / columns_each;
    const float x = (path[at] + air[cell]) * per_0;
    const float y = (path[at + n] + air[cell + rows * columns]) * per_1;
    const float z = path[at + 2 * n] * per_2;
    const int i = within(x, n_0 - 2), j = within(y, n_1 - 2), k = within(z, n_2 - 2);
    const float fx = x - (float)i, fy = y - (float)j, fz = z - (float)k;
    float lost = 0.0f, mean = 0.0f;
    for (int a = 0; a < 2; ++a)
        for (int b = 0; b < 2; ++b)
            for (int d = 0; d < 2; ++d) {
                const float share = (a ? fx : 1.0f - fx) * (b ? fy : 1.0f - fy) * (d ? fz : 1.0f - fz);
                const float2 node = table[((long long)(i + a) * n_1 + j + b) * n_2 + k + d];
                lost += share * node.x;
                mean += share * node.y;
            }
    path[at] = lost;
    path[at + n] = mean;
}

// Mean of exp(-s x) over x from -1/2 to 1/2 of the limited slope s of two differences: _mean_over_slope of transmit.py.
__device__ __forceinline__ float mean_over_slope(const float down, const float up, const float share)
{
    const float size = fminf(share * fminf(0.25f * fabsf(down + up), fminf(fabsf(down), fabsf(up))), 4.0f);
    const float square = down * up > 0.0f ? size * size : 0.0f;  // of s / 2
    float series = 1.0f + square * (float)(1.0 / 272);
    series = 1.0f + square * (float)(1.0 / 210) * series;
    series = 1.0f + square * (float)(1.0 / 156) * series;
    series = 1.0f + square * (float)(1.0 / 110) * series;
    series = 1.0f + square * (float)(1.0 / 72) * series;
    series = 1.0f + square * (float)(1.0 / 42) * series;
    series = 1.0f + square * (float)(1.0 / 20) * series;
    return 1.0f + square * (float)(1.0 / 6) * series;
}

// Add the moments of the parts of every cell, or begin with them.
//
// looked_up     (2, V, kR, mC) float32  p [1] and Ebar [keV] of each part
// air_loss      (kR, mC)       float32  p without a body [1]
// gain          (R, C)         float64  of the beam
// weighted_kev                          signal at the first node x weight of the ray / parts of a cell [keV]
// begins                                whether these are the first, and what there was does not count
// first, second (V, R, C)      float32  M1 [keV], M2 [keV2]
extern "C" __global__ void add_parts(
    const float* looked_up, const float* air_loss, const double* gain, const double weighted_kev,
    const float row_share, const float column_share,
    const int n_views, const int n_rows, const int n_columns, const int rows_each, const int columns_each,
    const int begins, float* first, float* second)
{
    const int rows = n_rows / rows_each, columns = n_columns / columns_each;
    const long long at = INDEX;
    if (at >= (long long)n_views * rows * columns) return;
    const int column = (int)(at % columns), row = (int)(at / columns % rows);
    const long long v = at / ((long long)columns * rows);
    const float* loss = looked_up + v * n_rows * n_columns;
    const float* energy = loss + (long long)n_views * n_rows * n_columns;
    const bool sloped = row_share > 0.0f || column_share > 0.0f;
    const float origin_kev = (float)(weighted_kev * gain[row * columns + column]);
    float m1 = begins ? 0.0f : first[at], m2 = begins ? 0.0f : second[at];
    for (int r = row * rows_each; r < (row + 1) * rows_each; ++r)
        for (int c = column * columns_each; c < (column + 1) * columns_each; ++c) {
            const int here = r * n_columns + c;
            const float p = loss[here];
            float spread = 1.0f;
            if (sloped) {
                const float body = p - air_loss[here];
                const int below = max(r - 1, 0) * n_columns + c, above = min(r + 1, n_rows - 1) * n_columns + c;
                spread = mean_over_slope(body - (loss[below] - air_loss[below]), (loss[above] - air_loss[above]) - body,
                                         row_share);
                if (c > 0 && c < n_columns - 1)
                    spread *= mean_over_slope(body - (loss[here - 1] - air_loss[here - 1]),
                                              (loss[here + 1] - air_loss[here + 1]) - body, column_share);
            }
            const float signal = origin_kev * expf(-p) * spread;
            m1 += signal;
            m2 += signal * energy[here];
        }
    first[at] = m1;
    second[at] = m2;
}

// Overwrite `energy_units` (n,) with M2 / M1 in steps; 0 where M1 is 0.
extern "C" __global__ void mean_energies(
    const float* first, const float* second, const float per_energy, const long long n, unsigned short* energy_units)
{
    const long long at = INDEX;
    if (at >= n) return;
    energy_units[at] = first[at] > 0.0f ? (unsigned short)(second[at] / first[at] * per_energy + 0.5f) : 0;
}

__device__ __forceinline__ double below(
    const double x, const double y, const double u, const double v, const double bend, const double level,
    const double first, const double last)
{
    const double a = bend * u * u, b = v + 2.0 * bend * x * u, c = y + bend * x * x - level;
    const double reach = fabs(first) + fabs(last);
    if (a * reach * reach < 1e-9) {  // straight within a nanometre: no division by a small number
        if (b > 0.0) return fmax(0.0, fmin(last, -c / b) - first);
        if (b < 0.0) return fmax(0.0, last - fmax(first, -c / b));
        return c <= 0.0 ? last - first : 0.0;
    }
    const double inside = b * b - 4.0 * a * c;
    if (inside <= 0.0) return 0.0;
    const double half = -0.5 * (b + copysign(sqrt(inside), b));  // the root that does not cancel
    const double one = half / a, two = c / half;
    return fmax(0.0, fmin(last, fmax(one, two)) - fmax(first, fmin(one, two)));
}

__device__ __forceinline__ void within_width(
    const double x, const double u, const double half_width, const double far, double* first, double* last)
{
    *first = *last = 0.0;
    if (fabs(u) < 1e-15) {
        if (fabs(x) <= half_width) *last = far;
        return;
    }
    const double one = (-half_width - x) / u, two = (half_width - x) / u;
    const double from = fmax(0.0, fmin(one, two)), to = fmin(far, fmax(one, two));
    if (to > from) { *first = from; *last = to; }
}

// Overwrite `in_plane` (2, V, C) with the couch's area densities along the in-plane part of every ray (couch.py) [g/cm2].
//
// source   (V, 4) float64  x, y from the middle of the tabletop's upper side [mm]; view angle [rad]; place k of the spot
// fan      (K, C) float64  fan angle of the columns [rad]
// distance (K, C) float64  spot to the columns, in the plane [mm]
// shape    (8,)   float64  bend [1/mm], half width [mm], shell [mm], five levels [mm]
// amount   (3, 2) float64  of the bases per millimetre of mattress, shell, core [g/cm2 per mm]
extern "C" __global__ void couch(
    const double* source, const double* fan, const double* distance, const double* shape, const double* amount,
    const int n_views, const int n_columns, float* in_plane)
{
    const long long n = (long long)n_views * n_columns, at = INDEX;
    if (at >= n) return;
    const double* s = source + 4 * (at / n_columns);
    const long long cell = (long long)s[3] * n_columns + at % n_columns;
    const double x = s[0], y = s[1], far = distance[cell], angle = s[2] + 3.141592653589793 - fan[cell];
    const double u = cos(angle), v = sin(angle);
    const double bend = shape[0], half_width = shape[1], shell_mm = shape[2];
    const double* level = shape + 3;
    double first, last, mattress = 0.0, shell = 0.0, core = 0.0;
    within_width(x, u, half_width, far, &first, &last);
    if (last > first) {
        const double upper = below(x, y, u, v, bend, level[1], first, last);
        mattress = upper - below(x, y, u, v, bend, level[0], first, last);
        const double roof = below(x, y, u, v, bend, level[2], first, last);
        const double floor = below(x, y, u, v, bend, level[3], first, last);
        shell = below(x, y, u, v, bend, level[4], first, last) - upper;
        within_width(x, u, half_width - shell_mm, far, &first, &last);
        if (last > first && floor > roof) {
            core = below(x, y, u, v, bend, level[3], first, last) - below(x, y, u, v, bend, level[2], first, last);
            shell -= core;
        }
    }
    for (int k = 0; k < 2; ++k)
        in_plane[at + k * n] = (float)(mattress * amount[k] + shell * amount[2 + k] + core * amount[4 + k]);
}

// Add to every row what its ray meets of something that is the same at every z.
//
// in_plane (2, V, C) float32; height (K, R), distance (K, C) float64 [mm]; path (M, V, R, C) float32, channels 0 and 1
extern "C" __global__ void add_in_plane(
    const float* in_plane, const double* height, const double* distance, const int first_place, const int n_places,
    const int n_views, const int n_rows, const int n_columns, float* path)
{
    const long long n = (long long)n_views * n_rows * n_columns, at = INDEX;
    if (at >= n) return;
    const int c = (int)(at % n_columns), r = (int)(at / n_columns % n_rows);
    const long long v = at / ((long long)n_columns * n_rows);
    const long long k = (first_place + v) % n_places;
    const double tangent = height[k * n_rows + r] / distance[k * n_columns + c];
    const float slant = (float)sqrt(1.0 + tangent * tangent);
    path[at] += slant * in_plane[v * n_columns + c];
    path[at + n] += slant * in_plane[(n_views + v) * n_columns + c];
}
