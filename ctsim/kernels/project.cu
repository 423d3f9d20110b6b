// Cell-averaged line integrals on a GPU: the sum that project.py defines, every plane read at its own height (drift = 0).
//
//   out[v, r, c] = slant * step * unit * sum_i sum_j a_ij sum_k b_ik density[y, x, k]
//
// i: planes of the ray's dominant axis (Joseph, IEEE TMI 1:192, 1982); a, b: shares of the voxels in the interval that the
// detector cell covers there, in the minor axis and in z, never narrower than a voxel (De Man & Basu, PMB 49:2463, 2004).
//
// Three steps:
//   pad_*      volume with PAD empty voxels on every side, so that no plane needs a look at the borders; which columns of
//              voxels hold anything
//   walks      one thread per (view, column): the in-plane walk in double, its planes from the first to the last that meet
//              an occupied column, counted away from the source
//   project_*  one thread per reading; `lanes` neighbouring threads are neighbouring rows of one column and share its walk
//              step by step, so that with 32 rows a warp never diverges and reads neighbouring voxels of a z line
//
// Up to the plane where the cell grows wider than a voxel both averages are linear interpolations of two voxels ("near"
// planes, two times two loads); up to two voxels intervals meet three ("middle" planes, three times three loads, of which
// some may weigh nothing); beyond, intervals are summed voxel by voxel.
//
// Float policy: set-up in double; positions in float32 from the middle of the walk, so that they err by at most 5e-5
// voxels in lattices of 512, 1.1e-4 in those of 1024; sums in float32 in the order of the planes; no fast-math options. Each thread writes its
// own readings: same bytes for any launch.

#define PAD 3
#define BIAS 8388608.0f  // 2^23: floats from here to 2^24 are the whole numbers, their bits 0x4B000000 and the number
#define BIAS_BITS 0x4B000000u

// Stored voxels as floats in the range of BIAS (exact for 16-bit numbers), of which differences are exact too.
struct Words {
    typedef unsigned int Voxel;
    enum { CHANNELS = 2 };
    // upper: upper half of BIAS_BITS, not as a constant: an instruction has room for one, and that is the selector
    static __device__ __forceinline__ float biased(const Voxel word, const int channel, const unsigned int upper) {
        return __uint_as_float(__byte_perm(word, upper, channel ? 0x5432u : 0x5410u));
    }
    static __device__ __forceinline__ float bias() { return BIAS; }
};

struct Iodine {
    typedef unsigned short Voxel;
    enum { CHANNELS = 1 };
    static __device__ __forceinline__ float biased(const Voxel units, const int, const unsigned int) {
        return __uint_as_float(BIAS_BITS | units);
    }
    static __device__ __forceinline__ float bias() { return BIAS; }
};

struct Inset {
    typedef float Voxel;
    enum { CHANNELS = 1 };
    static __device__ __forceinline__ float biased(const Voxel value, const int, const unsigned int) { return value; }
    static __device__ __forceinline__ float bias() { return 0.0f; }
};

template <class Voxel>
__device__ __forceinline__ void pad(
    const Voxel* slab, const int first_y, const int slab_y, const int n_x, const int n_z,
    Voxel* padded, unsigned char* occupied)
{
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (long long)slab_y * n_x * n_z) return;
    const int z = (int)(index % n_z);
    const int x = (int)((index / n_z) % n_x);
    const int y = first_y + (int)(index / ((long long)n_z * n_x));
    const Voxel voxel = slab[index];
    padded[(((long long)y + PAD) * (n_x + 2 * PAD) + x + PAD) * (n_z + 2 * PAD) + z + PAD] = voxel;
    if (voxel != 0) occupied[(long long)y * n_x + x] = 1;  // whoever writes writes the same
}

// slab     (slab_y, X, Z)         planes first_y... of a volume (Y, X, Z)
// padded   (Y + 6, X + 6, Z + 6)  zero before
// occupied (Y, X)                 zero before
extern "C" __global__ void pad_words(
    const unsigned int* slab, const int first_y, const int slab_y, const int n_x, const int n_z,
    unsigned int* padded, unsigned char* occupied)
{
    pad(slab, first_y, slab_y, n_x, n_z, padded, occupied);
}

extern "C" __global__ void pad_iodine(
    const unsigned short* slab, const int first_y, const int slab_y, const int n_x, const int n_z,
    unsigned short* padded, unsigned char* occupied)
{
    pad(slab, first_y, slab_y, n_x, n_z, padded, occupied);
}

extern "C" __global__ void pad_inset(
    const float* slab, const int first_y, const int slab_y, const int n_x, const int n_z,
    float* padded, unsigned char* occupied)
{
    pad(slab, first_y, slab_y, n_x, n_z, padded, occupied);
}

// Numbers of a walk.
enum { PLACE, PLACE_STEP, CLIMB, CLIMB_STEP, HEIGHT, WIDTH, WIDTH_STEP, MIDDLE, LENGTH, PER_DISTANCE, N_WALK };
enum { START, DIRECTION, ALONG_X, N_NEAR, N_MIDDLE, N_PLANES, N_SPAN };

// occupied (Y, X)    uint8    columns of voxels that hold anything
// source   (V, 6)    float64  source in voxel indices (z, y, x); cos, sin of the view angle; place k of the spot
// column   (K, C)    float64  fan angle as the spot at place k sees it [rad]
// away     (K, C)    float64  spot to the columns, in the plane [mm]
// column_mm, row_mm           pitches [mm at the detector]
// unit                        of one stored unit times one millimetre
// walk     (V, C, 10) float32, span (V, C, 6) int32: overwritten with the numbers above
extern "C" __global__ void walks(
    const unsigned char* occupied, const int n_y, const int n_x,
    const double dz, const double dy, const double dx,
    const double* source, const double* column, const double* away,
    const double column_mm, const double row_mm, const double unit,
    const int n_views, const int n_columns, float* walk, int* span)
{
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (long long)n_views * n_columns) return;
    const double* s = source + 6 * (index / n_columns);
    const long long cell = (long long)s[5] * n_columns + index % n_columns;
    const double distance = away[cell];
    const double cos_g = cos(column[cell]), sin_g = sin(column[cell]);
    const double x_mm = -cos_g * s[3] - sin_g * s[4];  // in-plane unit vector of the ray
    const double y_mm = -cos_g * s[4] + sin_g * s[3];
    const bool along_x = fabs(x_mm) * dy >= fabs(y_mm) * dx;
    const double d1 = along_x ? x_mm / dx : y_mm / dy;
    const double d2 = along_x ? y_mm / dy : x_mm / dx;
    const double s1 = along_x ? s[2] : s[1];
    const double s2 = along_x ? s[1] : s[2];
    const int n1 = along_x ? n_x : n_y;
    const int n2 = along_x ? n_y : n_x;
    const double step = 1.0 / fabs(d1);  // millimetres of the in-plane ray per plane
    const double slope = d2 / d1;
    const double widening = column_mm / (distance * (along_x ? dy : dx) * (along_x ? fabs(x_mm) : fabs(y_mm)));

    // planes between source and detector
    int first = 0, last = n1 - 1;
    if (d1 > 0) {
        first = max(first, (int)floor(fmax(s1, -1.0)) + 1);
        last = min(last, (int)floor(fmin(s1 + distance * d1, (double)n1)));
    } else {
        last = min(last, (int)ceil(fmin(s1, (double)n1)) - 1);
        first = max(first, (int)ceil(fmax(s1 + distance * d1, -1.0)));
    }
    // of these, the ones from the first to the last occupied; a little is added to the interval against rounding
    const float place = (float)s2, per_plane = (float)slope, wide = (float)(0.5 * widening / d1), from = (float)s1;
    for (int end = 0; end < 2; ++end) {
        for (; first <= last; end ? --last : ++first) {
            const float beyond = (float)(end ? last : first) - from;
            const float half = fmaxf(0.5f, wide * beyond) + 1e-3f;
            const float p = place + per_plane * beyond + 0.5f;
            const int low = (int)fmaxf(p - half, 0.0f);
            const int high = (int)fminf(p + half, (float)(n2 - 1));  // below 0: none
            bool any = false;
            if (p + half > 0.0f && p - half < (float)n2)
                for (int j = low; j <= high && !any; ++j)
                    any = occupied[along_x ? (long long)j * n_x + (end ? last : first)
                                           : (long long)(end ? last : first) * n_x + j];
            if (any) break;
        }
    }

    const int n_planes = max(last - first + 1, 0);
    const int start = d1 > 0 ? first : last;
    const double sign = d1 > 0 ? 1.0 : -1.0;
    const int middle = n_planes / 2;
    const double from_source = fabs(start - s1) * step;  // first plane [mm]
    const double here = from_source + middle * step;
    const double near_mm = fmin(1.0 / widening, distance * dz / row_mm);  // so far a cell is no wider than a voxel
    const double n_near = floor((near_mm - from_source) / step) + 1.0;
    const double n_middle = floor((2.0 * near_mm - from_source) / step) + 1.0;
    float* w = walk + index * N_WALK;
    w[PLACE] = (float)(s2 + slope * (start + sign * middle - s1));
    w[PLACE_STEP] = (float)(slope * sign);
    w[CLIMB] = (float)(here / (distance * dz));  // voxels in z per millimetre of the row's height
    w[CLIMB_STEP] = (float)(step / (distance * dz));
    w[HEIGHT] = (float)s[0];
    w[WIDTH] = (float)(widening * here);
    w[WIDTH_STEP] = (float)(widening * step);
    w[MIDDLE] = (float)middle;
    w[LENGTH] = (float)(step * unit);
    w[PER_DISTANCE] = (float)(1.0 / distance);
    int* n = span + index * N_SPAN;
    n[START] = start;
    n[DIRECTION] = d1 > 0 ? 1 : -1;
    n[ALONG_X] = along_x;
    n[N_NEAR] = (int)fmin(fmax(n_near, 0.0), (double)n_planes);
    n[N_MIDDLE] = (int)fmin(fmax(n_middle, 0.0), (double)n_planes);
    n[N_PLANES] = n_planes;
}

template <class Kind, bool ADD>
__device__ __forceinline__ void project(
    const typename Kind::Voxel* volume, const int n_y, const int n_x, const int n_z,
    const float* walk, const int* span, const double* source, const float* row, const float row_mm,
    const int n_views, const int n_rows, const int n_columns, const int lanes, float* out)
{
    const int n_groups = (n_rows + lanes - 1) / lanes;
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const long long shared = index / lanes;
    const int c = (int)(shared % n_columns);
    const int v = (int)(shared / ((long long)n_columns * n_groups));
    const int r = (int)(shared / n_columns % n_groups) * lanes + (int)(index % lanes);
    if (v >= n_views || r >= n_rows) return;
    const float* w = walk + ((long long)v * n_columns + c) * N_WALK;
    const int* n = span + ((long long)v * n_columns + c) * N_SPAN;
    const float height_mm = row[(int)source[6LL * v + 5] * n_rows + r];

    const unsigned int line = n_z + 2 * PAD, sheet = line * (n_x + 2 * PAD);
    const bool along_x = n[ALONG_X];
    const unsigned int across = along_x ? sheet : line;         // from voxel to voxel of the minor axis
    const unsigned int along = (along_x ? line : sheet) * n[DIRECTION];  // from plane to plane; wraps where it is negative
    const unsigned int origin = PAD * (sheet + line + 1) + (along_x ? line : sheet) * n[START];
    int n_near = n[N_NEAR], n_middle = n[N_MIDDLE], n_planes = n[N_PLANES];
    const float place = w[PLACE], place_step = w[PLACE_STEP];
    const float climb = w[CLIMB], climb_step = w[CLIMB_STEP];
    const float height = w[HEIGHT] + climb * height_mm, height_step = climb_step * height_mm;
    const float top = (float)n_z;
    float sum[Kind::CHANNELS];
    for (int m = 0; m < Kind::CHANNELS; ++m) sum[m] = 0.0f;

    float beyond = -w[MIDDLE];  // planes from the middle of the walk
    {  // a row that passes above or below the volume all along
        const float one = height + height_step * beyond, other = height + height_step * (beyond + n_planes);
        const float half = fmaxf(1.0f, row_mm * (climb + climb_step * (beyond + n_planes)));
        if (fmaxf(one, other) < -0.5f - half || fminf(one, other) > top - 0.5f + half) n_near = n_middle = n_planes = 0;
    }
    if (ADD && n_planes == 0) return;
    const unsigned int upper = (BIAS_BITS >> 16) + (unsigned int)(lanes >> 6);  // lanes is at most 32
    // places count from the padding's first voxel, so that they are positive; `plane` takes off the bits of the bias, too
    unsigned int plane = origin - PAD * across - PAD - BIAS_BITS * across - BIAS_BITS;
    const float padded_place = place + (float)PAD, padded_height = height + (float)PAD;
    const float padded_top = top + (float)PAD;
    int i = 0;
    for (; i < n_near; ++i, beyond += 1.0f, plane += along) {
        const float p = padded_place + place_step * beyond;
        const float whole_p = __fadd_rd(p, BIAS);
        const float a = p - (whole_p - BIAS);
        const float q = fminf(fmaxf(padded_height + height_step * beyond, PAD - 1.0f), padded_top);
        const float whole_q = __fadd_rd(q, BIAS);
        const float b = q - (whole_q - BIAS);
        const unsigned int at = plane + __float_as_uint(whole_p) * across + __float_as_uint(whole_q);
        const typename Kind::Voxel* one = volume + at;
        const typename Kind::Voxel* two = volume + (at + across);
        const typename Kind::Voxel one_low = one[0], one_high = one[1], two_low = two[0], two_high = two[1];
        for (int m = 0; m < Kind::CHANNELS; ++m) {
            const float first = Kind::biased(one_low, m, upper), second = Kind::biased(two_low, m, upper);
            const float in_one = (first - Kind::bias()) + b * (Kind::biased(one_high, m, upper) - first);
            const float in_two = (second - Kind::bias()) + b * (Kind::biased(two_high, m, upper) - second);
            sum[m] += in_one + a * (in_two - in_one);
        }
    }

    const int n2 = along_x ? n_y : n_x;
    const float width = w[WIDTH], width_step = w[WIDTH_STEP];
    for (; i < n_middle; ++i, beyond += 1.0f, plane += along) {
        const float wide = fminf(fmaxf(width + width_step * beyond, 1.0f), 2.0f);
        const float high = fminf(fmaxf(row_mm * (climb + climb_step * beyond), 1.0f), 2.0f);
        // where the intervals begin, and the shares of three voxels from there, the last two and the last alone
        const float p = padded_place + place_step * beyond + (0.5f - 0.5f * wide);
        const float whole_p = __fadd_rd(p, BIAS);
        const float in_p = p - (whole_p - BIAS);
        const float a_last = fmaxf(in_p + wide - 2.0f, 0.0f), a_first = 1.0f - in_p;
        const float q = fminf(fmaxf(padded_height + height_step * beyond + (0.5f - 0.5f * high), PAD - 2.0f), padded_top);
        const float whole_q = __fadd_rd(q, BIAS);
        const float in_q = q - (whole_q - BIAS);
        const float b_last = fmaxf(in_q + high - 2.0f, 0.0f), b_two = high - (1.0f - in_q);
        const float scale = 1.0f / (wide * high);
        const float a[3] = {scale * a_first, scale * (wide - a_first - a_last), scale * a_last};
        unsigned int at = plane + __float_as_uint(whole_p) * across + __float_as_uint(whole_q);
#pragma unroll
        for (int j = 0; j < 3; ++j, at += across) {
            const typename Kind::Voxel* z = volume + at;
            const typename Kind::Voxel zero = z[0], one = z[1], two = z[2];
            for (int m = 0; m < Kind::CHANNELS; ++m) {
                const float v0 = Kind::biased(zero, m, upper), v1 = Kind::biased(one, m, upper);
                const float v2 = Kind::biased(two, m, upper);
                sum[m] += a[j] * (high * (v0 - Kind::bias()) + b_two * (v1 - v0) + b_last * (v2 - v1));
            }
        }
    }

    plane = origin + along * (unsigned int)i;
    for (; i < n_planes; ++i, beyond += 1.0f, plane += along) {
        const float wide = fmaxf(1.0f, width + width_step * beyond);
        const float high = fmaxf(1.0f, row_mm * (climb + climb_step * beyond));
        const float p = place + place_step * beyond + 0.5f;
        const float q = height + height_step * beyond + 0.5f;
        const float p_low = fmaxf(p - 0.5f * wide, 0.0f), p_high = fminf(p + 0.5f * wide, (float)n2);
        const float q_low = fminf(fmaxf(q - 0.5f * high, 0.0f), top), q_high = fminf(fmaxf(q + 0.5f * high, 0.0f), top);
        const int j_last = min((int)p_high, n2 - 1), k_first = (int)q_low;
        const int n_steps = (int)high + 2;  // the same in all rows
        float inside[Kind::CHANNELS];
        for (int m = 0; m < Kind::CHANNELS; ++m) inside[m] = 0.0f;
        for (int j = (int)p_low; j <= j_last; ++j) {
            const float share = fminf(p_high, j + 1.0f) - fmaxf(p_low, (float)j);
            const typename Kind::Voxel* z = volume + (plane + (unsigned int)j * across);
            for (int step = 0; step < n_steps; ++step) {
                const int k = min(k_first + step, n_z);  // the voxel beyond the last is empty
                const float part = share * fmaxf(fminf(q_high, k + 1.0f) - fmaxf(q_low, (float)k), 0.0f);
                const typename Kind::Voxel voxel = z[k];
                for (int m = 0; m < Kind::CHANNELS; ++m) inside[m] += part * (Kind::biased(voxel, m, upper) - Kind::bias());
            }
        }
        const float scale = 1.0f / (wide * high);
        for (int m = 0; m < Kind::CHANNELS; ++m) sum[m] += scale * inside[m];
    }

    const float tangent = height_mm * w[PER_DISTANCE];
    const float weight = sqrtf(1.0f + tangent * tangent) * w[LENGTH];
    for (int m = 0; m < Kind::CHANNELS; ++m) {
        const long long target = (((long long)m * n_views + v) * n_rows + r) * n_columns + c;
        out[target] = ADD ? out[target] + weight * sum[m] : weight * sum[m];
    }
}

// volume   padded
// walk, span, source as above
// row      (K, R) float32  height above the spot [mm at the detector]; row_mm: pitch
// lanes                    power of two, at most 32: neighbouring threads that share a walk
// out      (M, V, R, C) float32: overwritten (words: M = 2; iodine: M = 1) or added to (inset: M = 1)
// Threads: V * ceil(R / lanes) * C * lanes
extern "C" __global__ void __launch_bounds__(128) project_words(
    const unsigned int* volume, const int n_y, const int n_x, const int n_z,
    const float* walk, const int* span, const double* source, const float* row, const float row_mm,
    const int n_views, const int n_rows, const int n_columns, const int lanes, float* out)
{
    project<Words, false>(volume, n_y, n_x, n_z, walk, span, source, row, row_mm, n_views, n_rows, n_columns,
        lanes, out);
}

extern "C" __global__ void __launch_bounds__(128) project_iodine(
    const unsigned short* volume, const int n_y, const int n_x, const int n_z,
    const float* walk, const int* span, const double* source, const float* row, const float row_mm,
    const int n_views, const int n_rows, const int n_columns, const int lanes, float* out)
{
    project<Iodine, false>(volume, n_y, n_x, n_z, walk, span, source, row, row_mm, n_views, n_rows, n_columns,
        lanes, out);
}

extern "C" __global__ void __launch_bounds__(128) project_inset(
    const float* volume, const int n_y, const int n_x, const int n_z,
    const float* walk, const int* span, const double* source, const float* row, const float row_mm,
    const int n_views, const int n_rows, const int n_columns, const int lanes, float* out)
{
    project<Inset, true>(volume, n_y, n_x, n_z, walk, span, source, row, row_mm, n_views, n_rows, n_columns,
        lanes, out);
}
