// Cell-averaged line integrals on a GPU: the sum of project.py, one thread per reading, neighbouring threads = neighbouring rows.
//
//   out[v, r, c] += slant * step * unit * sum_i sum_j a_ij sum_k b_ik density[y, x, k]
//
// i: planes of the ray's dominant axis (Joseph, IEEE TMI 1:192, 1982); a, b: shares of the voxels in the interval that the
// detector cell covers there, in the minor axis and in z, never narrower than a voxel (De Man & Basu, PMB 49:2463, 2004).
// Unlike project.py no planes are grouped: every plane is read at its own height (drift = 0).
//
// volume  (Y, X, Z) uint32  two uint16 densities, low and high half
// source  (V, 6)    float64 source in voxel indices (z, y, x); cos, sin of the view angle; place k of the spot
// column  (K, C)    float64 fan angle as the spot at place k sees it [rad]
// row     (K, R)    float32 height above the spot [mm at the detector]
// away    (K, C)    float64 spot to the columns, in the plane [mm]
// pitches of columns and rows [mm at the detector]
// out     (2, V, R, C) float32, added to
//
// Float policy: ray set-up in double, loops in float, no fast-math options.

extern "C" __global__ void project(
    const unsigned int* volume, const int n_y, const int n_x, const int n_z,
    const double dz, const double dy, const double dx,
    const double* source, const double* column, const float* row,
    const double column_mm, const double row_mm, const double* away, const double unit,
    float* out, const int n_views, const int n_rows, const int n_columns)
{
    const long long n = (long long)n_views * n_columns * n_rows;
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= n) return;
    const int r = (int)(index % n_rows);
    const int c = (int)((index / n_rows) % n_columns);
    const int w = (int)(index / ((long long)n_rows * n_columns));

    const double* s = source + 6LL * w;
    const int place = (int)s[5];
    const double angle = column[place * n_columns + c], distance = away[place * n_columns + c];
    const float height_mm = row[place * n_rows + r];
    const double cos_g = cos(angle), sin_g = sin(angle);
    const double x_mm = -cos_g * s[3] - sin_g * s[4];  // in-plane unit vector of the ray
    const double y_mm = -cos_g * s[4] + sin_g * s[3];
    const bool along_x = fabs(x_mm) * dy >= fabs(y_mm) * dx;
    const double d1 = along_x ? x_mm / dx : y_mm / dy;
    const double d2 = along_x ? y_mm / dy : x_mm / dx;
    const double s1 = along_x ? s[2] : s[1];
    const double s2 = along_x ? s[1] : s[2];
    const int n1 = along_x ? n_x : n_y;
    const int n2 = along_x ? n_y : n_x;
    const double step = 1.0 / fabs(d1);
    const double slope = d2 / d1;
    const double widening = column_mm / (distance * (along_x ? dy : dx) * (along_x ? fabs(x_mm) : fabs(y_mm)));

    int first = 0, last = n1 - 1;
    if (d1 > 0) {
        first = max(first, (int)floor(s1) + 1);
        last = min(last, (int)floor(s1 + distance * d1));
    } else {
        last = min(last, (int)ceil(s1) - 1);
        first = max(first, (int)ceil(s1 + distance * d1));
    }

    float low_sum = 0.0f, high_sum = 0.0f;
    for (int i = first; i <= last; ++i) {
        const double t = (i - s1) / d1;  // distance from the source, in the plane [mm]
        const float width = (float)fmax(1.0, widening * t);
        const float p = (float)(s2 + slope * (i - s1) + 0.5);
        const float a_low = fmaxf(p - 0.5f * width, 0.0f);
        const float a_high = fminf(p + 0.5f * width, (float)n2);
        if (a_high <= a_low) continue;
        const double per_mm = t / (distance * dz);
        const float height = (float)fmax(1.0, row_mm * per_mm);
        const float q = (float)(s[0] + per_mm * height_mm + 0.5);
        const float b_low = fmaxf(q - 0.5f * height, 0.0f);
        const float b_high = fminf(q + 0.5f * height, (float)n_z);
        if (b_high <= b_low) continue;
        const int j1 = min((int)a_high, n2 - 1), k1 = min((int)b_high, n_z - 1);
        float low_plane = 0.0f, high_plane = 0.0f;
        for (int j = (int)a_low; j <= j1; ++j) {
            const float a = fminf(a_high, j + 1.0f) - fmaxf(a_low, (float)j);
            const unsigned int* line = volume + (along_x ? (long long)j * n_x + i : (long long)i * n_x + j) * n_z;
            for (int k = (int)b_low; k <= k1; ++k) {
                const float share = a * (fminf(b_high, k + 1.0f) - fmaxf(b_low, (float)k));
                const unsigned int word = line[k];
                low_plane += share * (float)(word & 0xFFFFu);
                high_plane += share * (float)(word >> 16);
            }
        }
        const float scale = 1.0f / (width * height);
        low_sum += scale * low_plane;
        high_sum += scale * high_plane;
    }
    const double tangent = height_mm / distance;
    const float weight = (float)(sqrt(1.0 + tangent * tangent) * step * unit);
    const long long target = ((long long)w * n_rows + r) * n_columns + c;
    out[target] += weight * low_sum;
    out[target + (long long)n_views * n_rows * n_columns] += weight * high_sum;
}
