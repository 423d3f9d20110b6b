"""The ramp of the reconstruction filter, for rows of every length."""

from __future__ import annotations

import numpy as np
import pytest

from ctsim.recon.chain import Chain
from ctsim.recon.filtering import parallel_filter
from ctsim.recon.kernels import Kernel

SMOOTH = Kernel(name="smooth", mtf50_per_mm=0.3, mtf10_per_mm=0.5)


@pytest.mark.parametrize("first", range(240, 1200, 240))
def test_the_ramp_is_right_for_rows_of_every_length(first):
    """Near zero |f| and next to nothing at 0: some lengths once came out with even samples taken for odd ones."""
    chain = Chain(0.65, is_interleaved=True)
    for n in range(first, first + 240, 2):
        transfer = parallel_filter(SMOOTH, chain, n)
        step_per_mm = 1 / (2 * (len(transfer) - 1) * chain.place_mm)
        slope = np.diff(transfer[:9].astype(float)) / step_per_mm
        assert 0 <= transfer[0] < step_per_mm
        assert np.allclose(slope[2:5], 1.0, atol=0.1)
