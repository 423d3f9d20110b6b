// Fan-beam readings resampled to parallel places on a GPU: what rebin.py says, one thread per place, all rows.
//
// Rows lie in the middle of longer ones, ready to be filtered; what is beside them is made 0 (and filled by extend.cu
// where the body is wider than the fan).
//
// Float policy: float32, 4 views and then 4 rays added in one order; no fast-math options. Every output is its own.

// readings    (W, R, C) float32  views first_view, first_view + 1, ... of the scan's n_views
// first       (N,)   int32    direction of output n, counted like a state's views from origin[n]
// origin      (N,)   int32    first view of the rotation that output n belongs to
// period, n_states            views of a state in a rotation, after which they go round; 0: they end with the scan
// ray         (M, 3) int32    of a merged ray: state, column, views of the state from first[n] to the view below it
// view_weight (M, 4) float32  weights of the views -1, 0, 1, 2 from there
// tap         (Q, 4) int32    merged rays that a place is read from
// tap_weight  (Q, 4) float32  their weights
// row_weight  (R, Q) float32  factor of each output
// out         (N, R, L) float32  places n_before to n_before + Q are overwritten, all others made 0
extern "C" __global__ void rebin(
    const float* readings, const int first_view, const int n_views, const int n_columns,
    const int* first, const int* origin, const int period, const int n_states,
    const int* ray, const float* view_weight, const int* tap, const float* tap_weight, const float* row_weight,
    float* out, const int n_out, const int n_rows, const int n_places, const int n_before, const int length)
{
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (long long)n_out * length) return;
    const int n = (int)(index / length);
    const int q = (int)(index % length) - n_before;
    float* target = out + (long long)n * n_rows * length + q + n_before;
    if (q < 0 || q >= n_places) {
        for (int r = 0; r < n_rows; ++r) target[(long long)r * length] = 0.0f;
        return;
    }
    const float* from[4][4];
    float of_view[4][4], of_ray[4];
#pragma unroll
    for (int i = 0; i < 4; ++i) {
        const int m = tap[4 * q + i];
        of_ray[i] = tap_weight[4 * q + i];
        const int state = ray[3 * m], column = ray[3 * m + 1];
        const int last = (n_views - 1 - origin[n] - state) / n_states;
#pragma unroll
        for (int t = 0; t < 4; ++t) {
            int j = first[n] + ray[3 * m + 2] - 1 + t;
            if (period > 0) {
                j %= period;
                if (j < 0) j += period;
            } else {
                j = min(max(j, 0), last);
            }
            const long long view = origin[n] + state + j * n_states - first_view;
            from[i][t] = readings + view * n_rows * n_columns + column;
            of_view[i][t] = view_weight[4 * m + t];
        }
    }
    for (int r = 0; r < n_rows; ++r) {
        const int row = r * n_columns;
        float total = 0.0f;
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            float line = of_view[i][0] * from[i][0][row];
            line += of_view[i][1] * from[i][1][row];
            line += of_view[i][2] * from[i][2][row];
            line += of_view[i][3] * from[i][3][row];
            total += of_ray[i] * line;
        }
        target[(long long)r * length] = total * row_weight[(long long)r * n_places + q];
    }
}

// Running sums over rows, from 0, of the places in the middle of filtered rows; the last one twice, so that a reader at
// the last edge has one above it.
//
// filtered  (N, R, L)     float32  places n_before to n_before + Q are read
// out       (N, R + 2, Q) float32  overwritten
extern "C" __global__ void cumulate_rows(
    const float* filtered, float* out, const int n_out, const int n_rows, const int n_places, const int n_before,
    const int length)
{
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= (long long)n_out * n_places) return;
    const int n = (int)(index / n_places);
    const int q = (int)(index % n_places);
    const float* from = filtered + (long long)n * n_rows * length + n_before + q;
    float* target = out + (long long)n * (n_rows + 2) * n_places + q;
    float total = 0.0f;
    target[0] = total;
    for (int r = 0; r < n_rows; ++r) {
        total += from[(long long)r * length];
        target[(long long)(r + 1) * n_places] = total;
    }
    target[(long long)(n_rows + 1) * n_places] = total;
}
