"""Codes and columns of the NLST tables.

Sources: the data dictionaries "IDC: Participant", "IDC: SCT Abnormalities", "IDC: SCT Comparison Abnormalities" and
"IDC: SCT Screening" (28 May 2021, delivered with the public tables, TCIA doi 10.7937/TCIA.HMQ8-J677), and the SAS
format files delivered with the CDAS tables of 7 April 2022. Both give the same codes.
"""

from __future__ import annotations

from enum import IntEnum


class Abnormality(IntEnum):
    """``sct_ab_desc``: what was seen. Only code 51 carries the nodule columns."""

    NODULE = 51
    MICRONODULES = 52
    BENIGN_NODULES = 53
    ATELECTASIS = 54
    PLEURAL = 55
    ADENOPATHY = 56
    CHEST_WALL = 57
    CONSOLIDATION = 58
    EMPHYSEMA = 59
    CARDIOVASCULAR = 60
    FIBROSIS = 61
    SIX_OR_MORE_NODULES = 62
    ABOVE_DIAPHRAGM = 63
    BELOW_DIAPHRAGM = 64
    MINOR = 65


class Lobe(IntEnum):
    """``sct_epi_loc``: where a nodule's epicentre is. There is no code 7."""

    RIGHT_UPPER = 1
    RIGHT_MIDDLE = 2
    RIGHT_LOWER = 3
    LEFT_UPPER = 4
    LINGULA = 5
    LEFT_LOWER = 6
    OTHER = 8


class Margin(IntEnum):
    """``sct_margins``."""

    SPICULATED = 1
    SMOOTH = 2
    POORLY_DEFINED = 3
    UNABLE_TO_DETERMINE = 9


class Attenuation(IntEnum):
    """``sct_pre_att``: predominant attenuation. 2 is ground glass, 3 is mixed; there is no code 5 or 8."""

    SOFT_TISSUE = 1
    GROUND_GLASS = 2
    MIXED = 3
    FLUID = 4
    FAT = 6
    OTHER = 7
    UNABLE_TO_DETERMINE = 9


class Gender(IntEnum):
    """``gender``."""

    MALE = 1
    FEMALE = 2


class Race(IntEnum):
    """``race``. Hispanic origin is not a race here: it is in ``ethnic`` (CDAS)."""

    WHITE = 1
    BLACK = 2
    ASIAN = 3
    AMERICAN_INDIAN = 4
    PACIFIC_ISLANDER = 5
    MORE_THAN_ONE = 6
    REFUSED = 7
    NO_FORM = 95
    NO_RESPONSE = 96
    BLANK = 98
    UNKNOWN = 99


class CancerScreen(IntEnum):
    """``can_scr``: the screen that goes with the first confirmed lung cancer. 0 is no cancer."""

    NO_CANCER = 0
    POSITIVE = 1
    NEGATIVE = 2
    MISSED = 3
    POST_SCREENING = 4


class Confirmation(IntEnum):
    """``conflc`` (CDAS): whether lung cancer was confirmed."""

    NO_REPORT = 0
    CONFIRMED = 1
    CONFIRMED_NOT = 2
    NO_RECORDS = 3
    PENDING = 4


class Arm(IntEnum):
    """``rndgroup`` (CDAS)."""

    CT = 1
    X_RAY = 2


class ScreenResult(IntEnum):
    """``scr_res0-2``; ``scr_iso0-2`` has the same codes without 5 and 6."""

    NEGATIVE = 1
    NEGATIVE_MINOR = 2
    NEGATIVE_SIGNIFICANT = 3
    POSITIVE = 4
    POSITIVE_UNCHANGED = 5
    POSITIVE_OTHER = 6
    INADEQUATE = 10
    LEFT_STUDY = 11
    CANCER_BEFORE = 13
    DEATH_BEFORE = 14
    REFUSED = 15
    WRONG_SCREEN = 17
    CANCER_IN_WINDOW = 23
    DEATH_IN_WINDOW = 24
    ERRONEOUS_REPORT = 95
    NO_FORM = 97


class YesNoUnable(IntEnum):
    """Answers of the comparison read: 1 is no, 2 is yes."""

    NO = 1
    YES = 2
    UNABLE_TO_DETERMINE = 9


LOBE_COLUMNS = {
    Lobe.RIGHT_UPPER: ("locrup",),
    Lobe.RIGHT_MIDDLE: ("locrmid",),
    Lobe.RIGHT_LOWER: ("locrlow",),
    Lobe.LEFT_UPPER: ("loclup",),
    Lobe.LINGULA: ("loclin", "loclup"),
    Lobe.LEFT_LOWER: ("locllow",),
}
"""Columns of the participant table that say a cancer lies where a nodule of that lobe code lies. The lingula is part
of the left upper lobe: a cancer recorded there may be a nodule recorded in the lingula."""

NOT_LOBES = ("locrhil", "loclhil", "locrmsb", "loclmsb", "loccar", "locmed", "locoth", "locunk")
"""Recorded places of a cancer that name no lobe: hila, main bronchi, carina, mediastinum, other, unknown."""

LOCATIONS = ("locrup", "locrmid", "locrlow", "loclup", "loclin", "locllow", *NOT_LOBES)

_ROUND = {0: "T0", 1: "T1", 2: "T2"}
_YES = {0: "no", 1: "yes"}
_GRADES = (1, 2, 3, 4, 5, 6, 8, 9)
_STAGES_7 = (110, 120, 210, 220, 310, 320, 400, 900, 999)


def _named(codes: type[IntEnum]) -> dict[int, str]:
    return {int(code): code.name.lower().replace("_", " ") for code in codes}


def _numbers(*codes: int) -> dict[int, str]:
    return {code: str(code) for code in codes}


_RESULT = _named(ScreenResult)
_ISOLATION = {code: name for code, name in _RESULT.items() if code not in (5, 6)}

CODES: dict[str, dict[int, str]] = {
    "study_yr": _ROUND,
    "sct_ab_desc": _named(Abnormality),
    "sct_ab_code": _named(Abnormality),
    "sct_epi_loc": _named(Lobe),
    "sct_margins": _named(Margin),
    "sct_pre_att": _named(Attenuation),
    "sct_found_after_comp": {0: "identified on first look", 1: "found after comparison"},
    "sct_ab_source": {1: "abnormality section on form", 2: "extracted from comments"},
    "sct_ab_preexist": _named(YesNoUnable),
    "sct_ab_attn": _named(YesNoUnable),
    "sct_ab_gwth": _named(YesNoUnable),
    "sct_ab_invg": _named(YesNoUnable),
    "gender": _named(Gender),
    "race": _named(Race),
    "ethnic": {1: "Hispanic or Latino", 2: "neither", 7: "refused", 95: "no form", 98: "blank", 99: "unknown"},
    "educat": _numbers(1, 2, 3, 4, 5, 6, 7, 8, 95, 98, 99),
    "cigsmok": {0: "former", 1: "current"},
    "rndgroup": _named(Arm),
    "conflc": _named(Confirmation),
    "can_scr": _named(CancerScreen),
    "canc_rpt_link": _YES,
    "cancyr": {year: f"T{year}" for year in range(8)},
    "de_grade": _numbers(*_GRADES),
    "de_stag": _numbers(*_STAGES_7, 888, 994),
    "de_stag_7thed": _numbers(*_STAGES_7),
    "ctdxqual": {1: "diagnostic", 2: "limited", 3: "non-diagnostic"},
    **{f"scr_res{t}": _RESULT for t in range(3)},
    **{f"scr_iso{t}": _ISOLATION for t in range(3)},
    **dict.fromkeys(LOCATIONS, _YES),
    **{f"fam{who}": _YES for who in ("brother", "child", "father", "mother", "sister")},
    **{f"diag{what}": _YES for what in ("copd", "emph", "chro", "bron")},
    **{f"ct_recon_filter{k}": _numbers(*range(1, 13)) for k in range(1, 5)},
    **{
        f"ctdxqual_{why}": _YES
        for why in ("breath", "motion", "resp", "techpara", "inadeqimg", "artifact", "graininess", "other")
    },
}
"""All codes of a column and what they mean; anything else in that column is refused."""

MISSING = ("", ".", ".E", ".M", ".N", ".S", ".W")
"""How the files write a value that is not there: empty (public), or a SAS letter (CDAS) - E screen after diagnosis,
M missing, N not applicable, S unable to determine, W wrong screen."""

FAMILY = ("fambrother", "famchild", "famfather", "fammother", "famsister")
"""CDAS: lung cancer in a relative."""

LEAKS = (
    "can_scr",
    "cancyr",
    "candx_days",
    "canc_free_days",
    "canc_rpt_link",
    "canc_rpt_source",
    "conflc",
    "fup_days",
    "lesionsize",
    "histology_cat",
    "treatlc",
    "scr_group",
    *(f"scr_res{t}" for t in range(3)),
    *(f"scr_iso{t}" for t in range(3)),
    *LOCATIONS,
)
"""Columns that know the outcome, or what was decided because of it; never predictors. So are all ``de_*``, ``proc*``,
``biop*``, ``invas*``, ``medcomp*``, ``mra_stat*``, ``death*``, ``evp*`` and the comparison read of the same screen."""

LEAK_PREFIXES = ("de_", "loc", "proc", "biop", "invas", "medcomp", "mra_stat", "death", "dcf", "evp", "can_", "canc_")


def knows_the_outcome(column: str) -> bool:
    """Whether a column of the NLST tables must not be a predictor."""
    return column in LEAKS or column.startswith(LEAK_PREFIXES)
