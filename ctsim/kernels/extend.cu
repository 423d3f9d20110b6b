// Rows that the body leaves at their ends, extended on a GPU: what recon/truncation.py says (Hsieh et al., Med Phys
// 31:2385, 2004, doi:10.1118/1.1776673), in double precision per end.
//
// rows  (N, R, L) float32: places n_before to n_before + Q hold the row, at most n_before beside it are filled at each
// end; end 0 is the first place, end 1 the last.

// cylinder (N, R, 2, 2) double: R^2 and d of the water cylinder at an end [mm2, mm]; R^2 < 0 where the row has left the
// body. n_slope and n_value places at the end give its slope and value.
extern "C" __global__ void end_cylinders(
    const float* rows, double* cylinder, const int n_lines, const int n_places, const int n_before, const int length,
    const int n_slope, const int n_value, const double place_mm, const double water_per_mm, const double least_water_mm)
{
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= 2LL * n_lines) return;
    const int end = (int)(index % 2);
    const float* row = rows + (index / 2) * length + n_before + (end ? n_places - 1 : 0);
    const int inwards = end ? -1 : 1;
    const double middle = 0.5 * place_mm * (1 - n_slope);  // mean distance of the places beyond the last one
    double moment = 0.0, spread = 0.0, value = 0.0, square = 0.0;
    for (int i = 0; i < n_slope; ++i) {
        const double half = (double)row[i * inwards] / (2.0 * water_per_mm);
        const double from_middle = -place_mm * i - middle;
        moment += half * fabs(half) * from_middle;  // readings below 0 are noise
        spread += from_middle * from_middle;
        if (i < n_value) {
            value += half;
            square += half * fabs(half);
        }
    }
    const double d = fmax(-moment / (2.0 * spread) - middle, 0.0);
    double last = 0.0;
    for (int i = 0; i < n_value; ++i) last += (d - place_mm * i) * (d - place_mm * i);
    cylinder[2 * index] = 2.0 * value / n_value > least_water_mm ? (square + last) / n_value : -1.0;
    cylinder[2 * index + 1] = d;
}

// Shadows of the cylinders, n_beyond places at each end; those that are wider fall to zero as fall (n_beyond,) does.
extern "C" __global__ void extend_ends(
    float* rows, const double* cylinder, const int n_lines, const int n_places, const int n_before, const int length,
    const int n_beyond, const double* fall, const double place_mm, const double water_per_mm)
{
    const long long index = (long long)blockIdx.x * blockDim.x + threadIdx.x;
    if (index >= 2LL * n_lines * n_beyond) return;
    const int i = (int)(index % n_beyond);
    const long long at_end = index / n_beyond;
    const double square = cylinder[2 * at_end], d = cylinder[2 * at_end + 1];
    if (square < 0.0) return;
    const double x = place_mm * (i + 1), whole = place_mm * (n_beyond + 1);
    double shadow = 2.0 * water_per_mm * sqrt(fmax(square - (d + x) * (d + x), 0.0));
    if (square > (d + whole) * (d + whole)) shadow *= fall[i];
    float* row = rows + (at_end / 2) * length + n_before;
    row[at_end % 2 ? n_places + i : -1 - i] = (float)shadow;
}
