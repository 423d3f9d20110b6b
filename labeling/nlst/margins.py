"""Published margins from which the synthetic cohort is drawn, each with its source, and what is only estimated.

All covariates are drawn independently of each other; in the trial they are not. Numbers under "estimated" are the
authors' choice, made so that the tables look plausible; they carry no evidence.
"""

from __future__ import annotations

from .codes import Abnormality, Lobe, Race

# Tammemagi et al., N Engl J Med 2013;368:728, supplement, table S1: NLST, both arms, 53,202 participants with data
FEMALE = 21_811 / 53_202
CURRENT_SMOKER = 25_612 / 53_202
AGE_MEAN_Y, AGE_SD_Y = 61.4, 5.0
FAMILY_HISTORY = 11_608 / (11_608 + 40_880)
COPD = 2_689 / (2_689 + 50_494)
CIGARETTES_PER_DAY = (28.4, 11.5)
SMOKING_DURATION_Y = (39.8, 7.3)
YEARS_SINCE_QUIT_Y = (7.3, 4.8)

# National Lung Screening Trial Research Team, N Engl J Med 2011;365:395, and the public tables of 27 May 2021
AGE_RANGE_Y = (55, 74)
CT_ARM = 26_722 / 53_454
NO_SCREEN_DATE = (0.020411, 0.086807, 0.112175)
"""Share of participants without a date of screen T0, T1, T2 (public participant table, both arms)."""
ROWS_PER_SCREEN = 177_487 / 75_138
"""Rows of the abnormality table per CT screen; 19.95 % of them carry nodule columns."""
NODULES_PER_POSITIVE_SCREEN = 0.1995 * 177_487 / 18_141
"""Rows of code 51 per positive CT screen; 18,141 screens of the three rounds were positive (Gierada et al.)."""

# McWilliams et al., N Engl J Med 2013;369:910: nodules of PanCan, the perifissural ones left out
NODULE_TYPES = {"solid": 5_511 / 6_919, "part_solid": 303 / 6_919, "nonsolid": 1_105 / 6_919}
SPICULATED = 197 / 7_008
LOBES = {
    Lobe.RIGHT_UPPER: 0.326,
    Lobe.RIGHT_MIDDLE: 0.099,
    Lobe.RIGHT_LOWER: 0.182,
    Lobe.LEFT_UPPER: 0.231,  # the lingula included, see LINGULA_OF_LEFT_UPPER
    Lobe.LEFT_LOWER: 0.162,
}
SIZE_MEDIAN_MM = 3.4
"""Median size of benign nodules; the log-normal is cut at 3.5 mm, since NLST lists nodules from 4 mm on."""

# Estimated
SIZE_LOG_SD = 0.64
"""Chosen so that the largest nodule is at most 7 mm in 64 % of the positive screens (Gierada et al., J Natl Cancer
Inst 2014;106:dju284, from the abstract)."""
SIZE_LIMIT_MM = 86.0
POSITIVE_AT_T0 = 0.273
NEW_NODULES_PER_ROUND = 0.03
EMPHYSEMA = 0.30
LINGULA_OF_LEFT_UPPER = 0.2
SMOOTH_OF_NOT_SPICULATED = 0.7
NOT_DETERMINED = {"margin": 0.01, "type": 0.01, "lobe": 0.005}
RACES = {
    Race.WHITE: 0.91,
    Race.BLACK: 0.044,
    Race.ASIAN: 0.021,
    Race.AMERICAN_INDIAN: 0.004,
    Race.PACIFIC_ISLANDER: 0.004,
    Race.MORE_THAN_ONE: 0.013,
    Race.UNKNOWN: 0.004,
}
OTHER_ABNORMALITIES = {
    Abnormality.MICRONODULES: 0.24,
    Abnormality.BENIGN_NODULES: 0.20,
    Abnormality.ATELECTASIS: 0.02,
    Abnormality.PLEURAL: 0.04,
    Abnormality.ADENOPATHY: 0.03,
    Abnormality.CHEST_WALL: 0.01,
    Abnormality.CONSOLIDATION: 0.01,
    Abnormality.CARDIOVASCULAR: 0.06,
    Abnormality.FIBROSIS: 0.19,
    Abnormality.ABOVE_DIAPHRAGM: 0.03,
    Abnormality.BELOW_DIAPHRAGM: 0.05,
    Abnormality.MINOR: 0.12,
}
VOLUME_DOUBLING_DAYS = 400.0
LATE_CANCER_CT, CANCER_X_RAY = 0.022, 0.037
"""Cancers of the CT arm that no nodule of the tables was, all after screening, and of the X-ray arm."""
CANCER_WITHOUT_LOBE = 0.08
LOST_EARLY = 0.04
FOLLOW_UP_DAYS = (2_372.0, 150.0)
