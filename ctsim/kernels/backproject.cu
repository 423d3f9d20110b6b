// Weighted filtered back projection on a GPU: the definition of gather.py, worked out for every voxel.
//
//   f(x, y, z) += sum over directions of  sum_k W(q_k) P_k(theta, p, z) / sum_k W(q_k)
//
// P_k is the mean over the rows of set k that see the slice, a box of its thickness: the difference of two readings of
// running sums. Every voxel has its own p, t and rows (no nodes); running sums are read linearly between two places and
// between two row edges. W(q) = 1 for |q| <= full_weight, then 1 - s^2 (3 - 2 s), at least least_weight up to beyond.
//
// One thread works DEPTH neighbouring slices of one (x, y). A warp is a patch of 8 x 4 voxels in the plane, 128 threads
// one of 16 x 8: their rays lie close together, so that neighbouring threads read neighbouring places. Threads of a warp
// share their slices, and so the sets that may reach them.
//
// Float policy: p, t and heights of sources in double, the rest in float; directions and sets are added in their order,
// so that the result is the same however slices and directions are shared out among launches. Reciprocals by the device's approximation (1 ulp).

#define DEPTH 8

static __device__ __forceinline__ float one_over(float x)
{
#ifdef __CUDA_ARCH__
    float out;
    asm("rcp.approx.ftz.f32 %0, %1;" : "=f"(out) : "f"(x));
    return out;
#else
    return 1.0f / x;
#endif
}

static __device__ __forceinline__ float within_one(float x)
{
#ifdef __CUDA_ARCH__
    return __saturatef(x);
#else
    return fminf(fmaxf(x, 0.0f), 1.0f);
#endif
}

// Running sum at a row edge, between two places; the product of two 32-bit numbers is one instruction with the address.
static __device__ __forceinline__ float between_places(
    const char* line, const unsigned int row, const unsigned int row_bytes, const float share)
{
    const float* at = (const float*)(line + (unsigned long long)row * row_bytes);
    return at[0] + share * (at[1] - at[0]);
}

// sums       (N, R + 2, Q) float32  running sums over rows of filtered parallel projections, the last of them twice
// turn       (B, K)    int32    index n of direction b in set k, or -1 where there is none
// source_z   (B, K)    float64  source z at view angle theta (or theta + pi) [mm]
// direction  (B, 2)    float64  cos and sin of theta
// half_turn  (K,)      float32  1 for sources on the side of theta, -1 for those opposite
// fan        (K,)      int32    fan j of the set
// ray        (J, Q, 3) float32  from the source to the ray's nearest point to the axis [mm]; climb of the source above
//                               source_z [mm]; from the source to the cells, in the plane [mm], per row pitch [mm]
// bottom     (J,)      float32  lower edge of row 0 above the source [rows]
// lit_first, lit       (S + 1,) and (..,) int32  sets that may reach the slices DEPTH s, DEPTH s + 1, ...:
//                               lit[lit_first[s]] to lit[lit_first[s + 1] - 1]
// x_mm, y_mm (X,) and (Y,) float64  from the axis [mm]
// first_place, places_per_mm    p of place 0 [mm], places per mm; place q of a set opposite is place mirror - q
// first_z, slice_mm, box_mm     z of the whole image's slice 0, distance of slices, thickness of the box [mm]
// first_slice                   slice of the whole image that is slice 0 of out, a multiple of DEPTH
// beyond                        largest |q|
// radius                        of the field of view; voxels outside are left alone [mm]
// out        (Y, X, Z) float32  added to
// seen       (Y, X, Z) uint16   less the directions in which no ray passes through the voxel
extern "C" __global__ void back_project(
    const float* sums, const int* turn, const double* source_z, const double* direction,
    const float* half_turn, const int* fan, const float* ray, const float* bottom, const int* lit_first, const int* lit,
    const double* x_mm, const double* y_mm, const double first_place, const double places_per_mm, const double mirror,
    const double first_z, const double slice_mm, const double box_mm,
    const float full_weight, const float least_weight, const float beyond, const double radius,
    const int n_directions, const int n_sets, const int n_rows, const int n_places,
    const int n_y, const int n_x, const int n_z, const int first_slice, float* out, unsigned short* seen)
{
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    const int lane = (int)(index & 127);
    const int across = (n_x + 15) / 16, down = (n_y + 7) / 8;
    const long long patch = index >> 7;
    const int x = (int)(patch % across) * 16 + (lane & 7) + ((lane >> 2) & 8);
    const int y = (int)((patch / across) % down) * 8 + ((lane >> 3) & 3) + ((lane >> 4) & 4);
    const int slab = (int)(patch / ((long long)across * down));
    const int k0 = slab * DEPTH;
    if (x >= n_x || y >= n_y || k0 >= n_z) return;
    const double x_axis = x_mm[x], y_axis = y_mm[y];
    if (x_axis * x_axis + y_axis * y_axis > radius * radius) return;

    const float end = (float)n_rows, per_row = 1.0f / end;
    const unsigned int row_bytes = 4u * (unsigned int)n_places;
    const float lowest = 0.5f * end * (1.0f - beyond), highest = 0.5f * end * (1.0f + beyond);
    const float slope = 1.0f / (1.0f - full_weight);
    const double z_0 = first_z + (first_slice + k0) * slice_mm;
    const long long target = ((long long)y * n_x + x) * n_z + k0;

    float sum[DEPTH];
    int missed[DEPTH];
#pragma unroll
    for (int z = 0; z < DEPTH; ++z) {
        sum[z] = k0 + z < n_z ? out[target + z] : 0.0f;
        missed[z] = 0;
    }
    for (int d = 0; d < n_directions; ++d) {
        const double cosine = direction[2 * d], sine = direction[2 * d + 1];
        const float t = (float)(x_axis * cosine + y_axis * sine);
        const double place = (y_axis * cosine - x_axis * sine - first_place) * places_per_mm;
        const int near = min(max((int)floor(place), 0), n_places - 2);
        const int near_opposite = min(max((int)floor(mirror - place), 0), n_places - 2);
        const float share = (float)(place - near), share_opposite = (float)(mirror - place - near_opposite);

        float total[DEPTH], weights[DEPTH];
#pragma unroll
        for (int z = 0; z < DEPTH; ++z) {
            total[z] = 0.0f;
            weights[z] = 0.0f;
        }
        for (int i = lit_first[slab]; i < lit_first[slab + 1]; ++i) {
            const int k = lit[i], n = turn[d * n_sets + k];
            if (n < 0) continue;
            const bool ahead = half_turn[k] > 0.0f;
            const int m = ahead ? near : near_opposite;
            const float w = ahead ? share : share_opposite;
            const float* here = ray + ((long long)fan[k] * n_places + m) * 3;
            const float to_axis = here[0] + w * (here[3] - here[0]);
            const float climb = here[1] + w * (here[4] - here[1]);
            const float reach = here[2] + w * (here[5] - here[2]);
            const float rise = reach * one_over(ahead ? to_axis - t : to_axis + t);  // rows per millimetre of z
            const float first_row = ((float)(z_0 - source_z[d * n_sets + k]) - climb) * rise - bottom[fan[k]];
            const float step = (float)slice_mm * rise;
            if (first_row > highest || first_row + (DEPTH - 1) * step < lowest) continue;
            // all as shares of the detector's height, so that its ends come for free
            const float first = first_row * per_row, each = step * per_row, half = 0.5f * (float)box_mm * rise * per_row;
            const char* line = (const char*)(sums + (long long)n * (n_rows + 2) * n_places + m);
            const char* above = line + row_bytes;
#pragma unroll
            for (int z = 0; z < DEPTH; ++z) {
                const float place_z = first + (float)z * each;
                const float q = fabsf(2.0f * place_z - 1.0f);
                const float s = within_one(q * slope - full_weight * slope);
                const float fallen = fmaxf(1.0f - s * s * (3.0f - 2.0f * s), least_weight);
                const float weight = q <= beyond ? fallen : 0.0f;
                const float at = within_one(place_z);
                const float a = end * within_one(at - half), b = end * within_one(at + half);
                const unsigned int row_a = (unsigned int)a, row_b = (unsigned int)b;
                const float low_0 = between_places(line, row_a, row_bytes, w);
                const float low_1 = between_places(above, row_a, row_bytes, w);
                const float high_0 = between_places(line, row_b, row_bytes, w);
                const float high_1 = between_places(above, row_b, row_bytes, w);
                const float value = high_0 + (b - (float)row_b) * (high_1 - high_0)
                                  - (low_0 + (a - (float)row_a) * (low_1 - low_0));
                total[z] += weight * one_over(b - a) * value;
                weights[z] += weight;
            }
        }
#pragma unroll
        for (int z = 0; z < DEPTH; ++z) {
            if (weights[z] > 1e-6f) {
                sum[z] += total[z] * one_over(weights[z]);
            } else {
                missed[z] += 1;
            }
        }
    }
#pragma unroll
    for (int z = 0; z < DEPTH; ++z) {
        if (k0 + z < n_z) {
            out[target + z] = sum[z];
            seen[target + z] -= (unsigned short)missed[z];
        }
    }
}
