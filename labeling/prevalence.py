"""Three ways to another share of malignant nodules. They are not the same, and a dataset should say which was used.

====================== ================================== ===================================================
tool                   keeps                              changes
====================== ================================== ===================================================
:func:`shift_to`       every nodule; all odds ratios;     the risk of every nodule: small ones become
                       the order of the risks             malignant more often than anyone has observed
:func:`resample`       how malignant and how benign       which nodules are in the set: the mix of sizes and
                       nodules look; the slopes of the    types follows the outcome, the intercept moves
                       risk model (Prentice & Pyke 1979)
:func:`size_mix`       the risk of a nodule given what    the distribution of sizes, and with it the mean
                       it is; the rest of the mix within  risk and how well size alone predicts
                       a class of sizes
====================== ================================== ===================================================
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray


@dataclass(frozen=True, slots=True)
class Shift:
    """A constant added to every log odds.

    Parameters
    ----------
    delta
        The constant [1]: give it as ``shift=`` to :func:`labeling.assign`.
    before, after
        Mean probability without and with it [0-1].
    """

    delta: float
    before: float
    after: float


@dataclass(frozen=True, slots=True, eq=False)
class Resample:
    """A choice of units by their outcome.

    Parameters
    ----------
    index
        Chosen units, ascending, ``(k,)``.
    n_malignant, n_benign
        How many of each are chosen.
    before, after
        Share of malignant units in the source and in the choice [0-1].
    weight
        Weight of each chosen unit, ``(k,)``, that brings back the source's share.
    offset
        What the choice adds to the log odds of a unit of given covariates [1].
    """

    index: NDArray[np.int64]
    n_malignant: int
    n_benign: int
    before: float
    after: float
    weight: NDArray[np.float64]
    offset: float


@dataclass(frozen=True, slots=True, eq=False)
class SizeMix:
    """A choice of nodules by size.

    Parameters
    ----------
    index
        Chosen nodules, ascending, ``(n,)``.
    shares_before, shares_after
        Share of each class of sizes in the source and in the choice [0-1].
    weight
        Weight of each nodule of the *source* that gives the asked shares without choosing.
    """

    index: NDArray[np.int64]
    shares_before: tuple[float, ...]
    shares_after: tuple[float, ...]
    weight: NDArray[np.float64]


def shift_to(logit: ArrayLike, target: float, *, weight: ArrayLike | None = None) -> Shift:
    """The constant that, added to all log odds, makes their mean probability ``target``.

    The mean probability rises strictly with the constant, so there is exactly one.

    Parameters
    ----------
    logit
        Log odds of each nodule, ``(n,)`` [1]; minus infinity (outside the model) stays at probability 0.
    target
        Mean probability wanted [0-1].
    weight
        Weight of each nodule, ``(n,)``; None: all alike.

    Raises
    ------
    ValueError
        If the target cannot be reached, or an input is no number.

    Examples
    --------
    >>> round(shift_to([-2.0, -1.0, 0.5], 0.5).delta, 6)
    0.854726
    """
    from scipy.optimize import brentq
    from scipy.special import expit

    x = np.asarray(logit, dtype=np.float64)
    if x.ndim != 1 or not len(x) or np.isnan(x).any() or np.isposinf(x).any():
        raise ValueError("logit must be one number or minus infinity per nodule")
    w = np.ones_like(x) if weight is None else np.asarray(weight, dtype=np.float64)
    if w.shape != x.shape or not (np.isfinite(w) & (w >= 0)).all() or not w.sum() > 0:
        raise ValueError(f"weight must be {x.shape[0]} numbers of 0 or more, not all 0")
    w = w / w.sum()
    most = float(w[np.isfinite(x)].sum())
    if not 0 < target < most:
        raise ValueError(f"target must lie between 0 and {most:g}, the share of nodules inside the model; got {target}")

    def mean(delta: float) -> float:
        return float((w * expit(x + delta)).sum())

    # The mean lies between the extremes: logit(target) less the largest log odds is a bracket from below.
    finite = x[np.isfinite(x) & (w > 0)]
    wanted = float(np.log(target) - np.log(most - target))
    low, high = wanted - float(finite.max()) - 1e-9, wanted - float(finite.min()) + 1e-9
    if max(abs(low), abs(high)) > 1e3:
        raise ValueError(f"logit spans {finite.min():g} to {finite.max():g}: no shift can be found among such numbers")
    delta = float(brentq(lambda d: mean(d) - target, low, high, xtol=1e-13, rtol=1e-14))
    return Shift(delta=delta, before=mean(0.0), after=mean(delta))


def resample(malignant: ArrayLike, target: float, *, rng: np.random.Generator, n: int | None = None) -> Resample:
    """Choose units at random within each outcome, none twice, so that ``target`` of them are malignant.

    A unit is a nodule, or a participant (any malignant nodule): give one value each, so that a twin with several
    nodules is kept or left as a whole. This is case-control sampling: within an outcome nothing changes.

    Parameters
    ----------
    malignant
        Outcome of each unit, ``(m,)`` of bool.
    target
        Share of malignant units wanted [0-1].
    rng
        Source of chance.
    n
        How many units; None: as many as there can be.

    Raises
    ------
    ValueError
        If there are too few units of one outcome; the message says how many are missing.
    """
    y = np.asarray(malignant)
    if y.ndim != 1 or y.dtype != np.bool_:
        raise ValueError(f"malignant must be one true or false per unit, got {y.dtype} of shape {y.shape}")
    if not 0 < target < 1:
        raise ValueError(f"target must lie between 0 and 1, got {target}")
    cases, others = np.flatnonzero(y), np.flatnonzero(~y)
    if n is None:
        n_cases = min(len(cases), round(len(others) * target / (1 - target)))
        n_others = min(len(others), round(n_cases * (1 - target) / target))
    else:
        n_cases = round(n * target)
        n_others = n - n_cases
    if n_cases < 1 or n_others < 1:
        raise ValueError(
            f"target {target} needs units of both outcomes, there are {len(cases)} malignant and {len(others)} benign"
            + ("" if n is None else f", and n is {n}")
        )
    for name, have, need in (("malignant", len(cases), n_cases), ("benign", len(others), n_others)):
        if need > have:
            raise ValueError(f"{need} {name} units are wanted, there are {have}: generate more, or ask for a smaller n")
    chosen = np.concatenate((rng.permutation(cases)[:n_cases], rng.permutation(others)[:n_others]))
    index = np.sort(chosen)
    rate = {True: n_cases / len(cases), False: n_others / len(others)}
    k = n_cases + n_others
    share = k / len(y)
    return Resample(
        index=index,
        n_malignant=n_cases,
        n_benign=n_others,
        before=len(cases) / len(y),
        after=n_cases / k,
        weight=np.where(y[index], share / rate[True], share / rate[False]),
        offset=float(np.log(rate[True] / rate[False])),
    )


def size_mix(
    size_mm: ArrayLike,
    edges_mm: Sequence[float],
    shares: Sequence[float],
    *,
    n: int,
    rng: np.random.Generator,
) -> SizeMix:
    """Choose ``n`` nodules at random, none twice, so that classes of size have the shares asked for.

    Labels play no part: choose first and draw labels then, or choose labelled nodules; given its size, a nodule's risk
    is what it was.

    Parameters
    ----------
    size_mm
        Size of each nodule, ``(m,)`` [mm].
    edges_mm
        Ascending borders of the classes; class i holds ``edges[i] <= size < edges[i + 1]`` [mm].
    shares
        Share of each class wanted, which sum to 1 [0-1].
    n
        How many nodules; shares are met to the nearest whole nodule (largest remainders).
    rng
        Source of chance.

    Raises
    ------
    ValueError
        If borders or shares are none, a size lies in no class, or a class holds too few nodules.
    """
    size, edges = np.asarray(size_mm, dtype=np.float64), np.asarray(edges_mm, dtype=np.float64)
    wanted = np.asarray(shares, dtype=np.float64)
    if len(edges) < 2 or not (np.diff(edges) > 0).all():
        raise ValueError(f"edges_mm must ascend, got {list(edges_mm)}")
    if wanted.shape != (len(edges) - 1,) or not (wanted >= 0).all() or abs(wanted.sum() - 1) > 1e-9:
        raise ValueError(f"shares must be {len(edges) - 1} numbers of 0 or more that sum to 1, got {list(shares)}")
    outside = np.flatnonzero(~((size >= edges[0]) & (size < edges[-1])))
    if size.ndim != 1 or len(outside):
        raise ValueError(f"size_mm {size[outside[:1]]} lies in no class of {list(edges_mm)} mm")
    if n < 1:
        raise ValueError(f"n must be 1 or more, got {n}")
    kind = np.searchsorted(edges, size, side="right") - 1
    have = np.bincount(kind, minlength=len(wanted))
    exact = n * wanted
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    if (short := np.flatnonzero(counts > have)).size:
        c = int(short[0])
        raise ValueError(
            f"{counts[c]} nodules of {edges[c]:g} to {edges[c + 1]:g} mm are wanted, there are {have[c]}: "
            "generate more, or ask for a smaller n"
        )
    chosen = [rng.permutation(np.flatnonzero(kind == c))[: counts[c]] for c in range(len(wanted))]
    before = have / len(size)
    weight = np.divide(wanted, before, out=np.zeros_like(wanted), where=before > 0)[kind]
    return SizeMix(
        index=np.sort(np.concatenate(chosen)),
        shares_before=tuple(before.tolist()),
        shares_after=tuple((counts / n).tolist()),
        weight=weight,
    )
