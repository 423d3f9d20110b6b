"""Labels for a table of nodules: probabilities of one model, and draws that belong to the nodules.

``malignant if u < p``. ``u`` is a function of (key, id, draw) alone: element ``draw`` of the doubles of Philox4x64 with
the key (``key``, BLAKE2b-64 of the id). Order, company, chunks, processes and threads change nothing; the same u under
another model, shift or prevalence gives a label that can be compared (common random numbers: if p grows, a label can
only turn malignant). In a study the key is that of the twin, made from (seed, "twin", twin id, "label"); a label
belongs to the lesion, not to an image of it.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .columns import Columns, Table
from .model import ModelSpec, get
from .philox import uniform_doubles
from .scoring import Impute, Scores, probability_of, score
from .uncertainty import Z, logit_spread
from .visibility import invisible, visible_scores
from .vocabulary import VOCABULARY

Mode = Literal["bernoulli", "threshold", "soft"]
Label = Literal["malignant", "benign"]

MAX_DRAWS = 10_000


class ThresholdWarning(UserWarning):
    """Labels were cut at a threshold instead of drawn."""


@dataclass(frozen=True, slots=True, eq=False)
class LabelTable:
    """Labels of ``n`` nodules, and all that led there.

    Parameters
    ----------
    ids
        Nodules, in the order of the table.
    model
        The risk model.
    mode, threshold, shift, visible_only
        As asked for.
    scores
        What the model said before the shift: inputs, what was imputed, extrapolated, excluded.
    fixed
        Covariates that no image shows, held at the model's reference (``visible_only``).
    unchecked
        Where an exclusion of the model could not be checked, ``(n,)`` by covariate: the table does not know it.
    logit, probability
        After the shift, ``(n,)`` [1]; minus infinity and 0 where excluded.
    probability_low, probability_high
        95 % interval from the coefficients' uncertainty, ``(n,)``; None where the model states none.
    interval_basis
        What that interval rests on.
    u
        ``(n_draws, n)`` in [0, 1); None unless labels are drawn.
    malignant
        ``(n_draws, n)`` bool; None for soft labels. Row 0 is the label.
    """

    ids: tuple[str, ...]
    model: ModelSpec
    mode: Mode
    threshold: float | None
    shift: float
    visible_only: bool
    scores: Scores
    fixed: tuple[str, ...]
    unchecked: dict[str, NDArray[np.bool_]]
    logit: NDArray[np.float64]
    probability: NDArray[np.float64]
    probability_low: NDArray[np.float64] | None
    probability_high: NDArray[np.float64] | None
    interval_basis: str | None
    u: NDArray[np.float64] | None
    malignant: NDArray[np.bool_] | None

    def columns(self) -> dict[str, list[Any]]:
        """One row per nodule, for a data frame or a CSV file."""
        n, first = len(self.ids), None if self.malignant is None else self.malignant[0]
        spec = self.model
        return {
            "id": list(self.ids),
            "label": [None] * n if first is None else ["malignant" if y else "benign" for y in first],
            "probability": self.probability.tolist(),
            "probability_low": [None] * n if self.probability_low is None else self.probability_low.tolist(),
            "probability_high": [None] * n if self.probability_high is None else self.probability_high.tolist(),
            "logit": self.logit.tolist(),
            "u": [None] * n if self.u is None else self.u[0].tolist(),
            "label_mode": [self.mode] * n,
            "label_threshold": [self.threshold] * n,
            "label_shift": [self.shift] * n,
            "label_visible_only": [self.visible_only] * n,
            "label_model": [spec.id] * n,
            "label_model_version": [spec.version] * n,
            "label_model_hash": [spec.hash()] * n,
            "label_imputed": [" ".join(self.flagged(self.scores.imputed, i)) for i in range(n)],
            "label_extrapolated": [" ".join(self.flagged(self.scores.extrapolated, i)) for i in range(n)],
            "label_excluded": self.scores.excluded.tolist(),
            **{f"input_{name}": column.tolist() for name, column in self.scores.inputs.items()},
        }

    def flagged(self, flags: Mapping[str, NDArray[np.bool_]], i: int) -> tuple[str, ...]:
        """Names of the covariates that are flagged in row ``i``; held ones are not imputed ones."""
        return tuple(name for name, flag in flags.items() if flag[i] and name not in self.fixed)


def assign_table(
    table: Table,
    ids: Sequence[str],
    *,
    key: int | Sequence[int],
    model: str | ModelSpec = "brock-2b",
    mode: Mode = "bernoulli",
    threshold: float | None = None,
    n_draws: int = 1,
    shift: float = 0.0,
    visible_only: bool = False,
    impute: Impute | None = None,
    warn: bool = True,
) -> LabelTable:
    """Label the nodules of a table, independent given the covariates.

    Parameters
    ----------
    table
        Covariates by name, as :meth:`labeling.ModelSpec.score` takes them.
    ids
        Name of each nodule, ``(n,)``: what its chance hangs on. Rows of one nodule (six scans of it) share name, key
        and inputs, and so the label.
    key
        Fixes the draws [64-bit integer]: one for all rows, or one per row.
    model
        Id of a model that comes with the package, or one of the user's.
    mode
        ``bernoulli``: draw with the model's probability. ``threshold``: malignant from ``threshold`` on; a label is
        then a function of the covariates, which any classifier of them learns perfectly: for ablations only.
        ``soft``: no label, the probability alone.
    threshold
        For that mode, and only for it [0-1].
    n_draws
        How many sets of labels to draw, to see how far results depend on the draw [1].
    shift
        Added to all log odds (:func:`labeling.shift_to`) [1].
    visible_only
        Hold covariates that no image shows (age, family history...) at the model's reference, so that the label depends
        on the image and chance alone.
    impute
        "reference": covariates that are not known take the model's reference value, and the table says which.
    warn
        Warn of thresholds and of values outside what the model was developed on; both are recorded in any case.

    Raises
    ------
    ValueError
        If an id is not text, a key is not a 64-bit integer, the model needs what is not known and ``impute`` is None, a
        value is outside what the model accepts, or rows of one nodule differ in what the model reads.
    """
    spec = get(model) if isinstance(model, str) else model
    _check_options(mode, threshold, n_draws, shift)
    names = tuple(ids)
    for i, name in enumerate(names):
        if not isinstance(name, str):
            raise ValueError(
                f"ids must be text, got {name!r} in row {i} (rows count from 0): labels hang on their letters"
            )
    n = Columns(table).n
    if len(names) != n:
        raise ValueError(f"ids must be one per row: {n} rows, {len(names)} ids")
    keys = list(key) if isinstance(key, Sequence | np.ndarray) and not isinstance(key, str) else [key] * n
    if len(keys) != n:
        raise ValueError(f"key must be one integer or one per row: {n} rows, {len(keys)} keys")
    if visible_only:
        scores, fixed = visible_scores(spec, table, impute), invisible(spec)
    else:
        scores, fixed = score(spec, table, impute, warn=warn), ()
    if mode == "threshold" and warn:
        warnings.warn(
            f"labels cut at {threshold}: they are a function of the covariates of {spec.id!r}, so that an AUC on them "
            "says how well the covariates are read, not how well cancer is told",
            ThresholdWarning,
            stacklevel=2,
        )
    logit = scores.logit + shift
    probability = probability_of(logit)
    spread = logit_spread(spec, scores.inputs)
    u = malignant = None
    if mode == "bernoulli":
        u = uniforms_of(keys, names, n_draws)
        malignant = u < probability
    elif threshold is not None:
        malignant = (probability >= threshold)[None, :]
    _check_repeats(list(zip(keys, names, strict=True)), scores, spec)
    return LabelTable(
        ids=names,
        model=spec,
        mode=mode,
        threshold=threshold,
        shift=float(shift),
        visible_only=visible_only,
        scores=scores,
        fixed=fixed,
        unchecked=_unchecked(spec, table, visible_only=visible_only),
        logit=logit,
        probability=probability,
        probability_low=None if spread is None else probability_of(logit - Z * spread.sd),
        probability_high=None if spread is None else probability_of(logit + Z * spread.sd),
        interval_basis=None if spread is None else spread.basis,
        u=u,
        malignant=malignant,
    )


def uniforms(key: int, nodule_id: str, n_draws: int) -> NDArray[np.float64]:
    """The numbers in [0, 1) that decide a nodule's labels, ``(n_draws,)``: element i does not depend on ``n_draws``.

    Raises
    ------
    ValueError
        If ``key`` is not a 64-bit integer.
    """
    return uniforms_of([key], [nodule_id], n_draws)[:, 0]


def uniforms_of(keys: Sequence[int], ids: Sequence[str], n_draws: int) -> NDArray[np.float64]:
    """The numbers of many nodules, ``(n_draws, n)``; see :func:`uniforms`."""
    for key in keys:
        if not isinstance(key, int | np.integer) or not 0 <= key < 2**64:
            raise ValueError(f"key must be a 64-bit integer, 0 to 2^64 - 1, got {key}")
    words = [blake2b(b"label:" + name.encode(), digest_size=8).digest() for name in ids]
    return uniform_doubles(
        np.array([int(key) for key in keys], dtype=np.uint64),
        np.frombuffer(b"".join(words), dtype="<u8").astype(np.uint64),
        n_draws,
    )


def _check_options(mode: str, threshold: float | None, n_draws: int, shift: float) -> None:
    if mode not in ("bernoulli", "threshold", "soft"):
        raise ValueError(f"mode must be bernoulli, threshold or soft, got {mode!r}")
    if (mode == "threshold") != (threshold is not None):
        raise ValueError(f"threshold must be given for mode 'threshold' and only for it, got {threshold} for {mode!r}")
    if threshold is not None and not 0 < threshold < 1:
        raise ValueError(f"threshold must lie between 0 and 1, got {threshold}")
    if not 1 <= n_draws <= MAX_DRAWS:
        raise ValueError(f"n_draws must be 1 to {MAX_DRAWS}, got {n_draws}")
    if n_draws > 1 and mode != "bernoulli":
        raise ValueError(f"n_draws must be 1 for mode {mode!r}, which draws nothing; got {n_draws}")
    if not np.isfinite(shift):
        raise ValueError(f"shift must be finite, got {shift}")


def _check_repeats(names: list[tuple[int, str]], scores: Scores, spec: ModelSpec) -> None:
    """One lesion has one set of inputs."""
    first: dict[tuple[int, str], int] = {}
    if len(set(names)) == len(names):
        return
    for i, name in enumerate(names):
        k = first.setdefault(name, i)
        differ = [field for field, column in scores.inputs.items() if column[i] != column[k]]
        if differ or scores.excluded[i] != scores.excluded[k]:
            field = differ[0] if differ else "exclusion"
            values = ": {!r} and {!r}".format(*scores.inputs[field][[k, i]].tolist()) if differ else ""
            raise ValueError(
                f"nodule {name[1]!r} has one label over all its rows, but rows {k} and {i} differ in the {field} that "
                f"model {spec.id!r} reads{values}; rows count from 0"
            )


def _unchecked(spec: ModelSpec, table: Table, *, visible_only: bool) -> dict[str, NDArray[np.bool_]]:
    columns = Columns(table)
    unchecked = {}
    for exclusion in spec.exclusions:
        found = columns.get(exclusion.covariate, "yes_no")
        hidden = visible_only and not VOCABULARY[exclusion.covariate].visible
        unknown = np.ones(columns.n, dtype=np.bool_) if found is None or hidden else found[1]
        if unknown.any():
            unchecked[exclusion.covariate] = unknown
    return unchecked
