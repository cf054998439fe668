"""Novel class discovery as scikit-learn's users know it: an estimator."""

import dataclasses
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from scipy.special import softmax
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from ncd_jax.config import RunConfig
from ncd_jax.data.own_table import encode_rows
from ncd_jax.data.table import Table
from ncd_jax.data.targets import Targets, make_table, read_targets, with_novel
from ncd_jax.discovery.model import Applied, apply_model, familiar_rows, on_host
from ncd_jax.discovery.problem import judged
from ncd_jax.discovery.progress import Reporter
from ncd_jax.estimator.fitting import Fit, assignments, fit
from ncd_jax.estimator.frames import rows_of
from ncd_jax.estimator.looks import ShowsItsAnswer, answer_of
from ncd_jax.estimator.parameters import as_value_errors, to_config
from ncd_jax.methods import METHODS
from ncd_jax.precision import in_single_precision
from ncd_jax.read.dtypes import to_labels
from ncd_jax.read.names import checked_names
from ncd_jax.read.raw import RawTable
from ncd_jax.report.console import make_reporter
from ncd_jax.report.runner_up import temperature_of
from ncd_jax.types import UNLABELLED

__all__ = ["NovelClassDiscovery"]

_DEFAULT = RunConfig()


class NovelClassDiscovery(
    ShowsItsAnswer,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    BaseEstimator,
):
    """Finds classes that nobody has named among unlabelled rows, and how many there are.

    A row is unlabelled where `y` is NaN, None, `pd.NA` or -1. As -1 is such a mark, no class can
    have that name. Tuning hides known classes and needs three; with fewer, with
    `n_candidates=0`, and where no row is unlabelled, hyperparameters that are not given are in
    the middle of their range, nothing is scored on hidden classes, and there is no report.

    `X` is numeric or, as a frame of pandas, Polars or Arrow, has columns of any kind: numbers,
    truth values, categories, text, dates, each with gaps. Sparse matrices are refused, and so are
    infinite numbers in arrays; in a frame they are gaps, of which a note tells.

    Args:
        method: a name in `ncd_jax.methods.METHODS`, or `auto`: all are tuned, the best answers.
        variant: a static choice inside the method; its first one where it is empty.
        setting: `ncd` where no unlabelled row is of a known class, `gcd` where some may be, `auto`
            to look.
        n_novel: the number of novel classes, or `auto`.
        hparams: hyperparameters by name that are fixed instead of tuned.
        n_candidates: hyperparameter candidates to try; 0 is no tuning.
        n_folds: times some known classes are hidden.
        epochs: passes over all rows in one training.
        batch_size: most rows in a step.
        n_refits: trainings on all known classes, each from its own seed.
        k_index: cluster validity index that chooses the number of novel classes.
        k_max: largest number considered.
        random_state: an integer for the same answer each time; it is the seed of a run.
        verbose: whether progress is told on stderr.

    Attributes:
        classes_: known classes, sorted, then novel ones, the largest first. Where known classes
            are numbers, novel ones are the whole numbers behind them; else they are `novel_0`,
            `novel_1`, ... The report calls them that in any case.
        n_novel_: number of novel classes.
        labels_: class of every training row. Labelled rows keep their label, unlabelled ones get
            a novel class or, in the setting `gcd`, a known one; `predict` may give any row any.
        setting_: `ncd` or `gcd`, as it was taken.
        confidence_: how likely each training row is in the class that stands for its own: 1 for
            labelled rows, NaN without tuning, 0 for rows without any cell.
        assignments_: both, of the unlabelled rows, under the index of the frame, and the second
            likeliest class with its confidence: none without tuning.
        n_novel_probability_: from number of novel classes to its probability; empty where the
            number was given, or an index chose it.
        hidden_class_score_: share of rows of hidden classes that were sorted right, the mean
            over folds; NaN without tuning.
        stability_: mean adjusted Rand index between refits; NaN where there is one.
        method_: the method that gave the answer.
        hparams_: its hyperparameters.
        notes_: for people: columns that were left out, and why.
        columns_: how each column was read: numbers, dates, categories, with which gaps.
        n_features_in_: number of columns of `X`.
        feature_names_in_: their names, where all of them are text.
    """

    def __init__(
        self,
        *,
        method: str = _DEFAULT.method,
        variant: str = _DEFAULT.variant,
        setting: str = _DEFAULT.setting,
        n_novel: int | str = "auto",
        hparams: Mapping[str, float] | None = None,
        n_candidates: int = _DEFAULT.search.candidates,
        n_folds: int = _DEFAULT.search.folds,
        epochs: int = _DEFAULT.train.epochs,
        batch_size: int = _DEFAULT.train.batch_size,
        n_refits: int = _DEFAULT.train.refits,
        k_index: str = _DEFAULT.k.index,
        k_max: int = _DEFAULT.k.max,
        random_state: Any = None,
        verbose: bool = False,
    ):
        self.method = method
        self.variant = variant
        self.setting = setting
        self.n_novel = n_novel
        self.hparams = hparams
        self.n_candidates = n_candidates
        self.n_folds = n_folds
        self.epochs = epochs
        self.batch_size = batch_size
        self.n_refits = n_refits
        self.k_index = k_index
        self.k_max = k_max
        self.random_state = random_state
        self.verbose = verbose

    @in_single_precision
    def fit(self, X: Any, y: Any) -> "NovelClassDiscovery":
        """Finds the novel classes among the unlabelled rows.

        Args:
            X: `[n, d]`, an array or DataFrame.
            y: `[n]`, labels: text, whole numbers or truth values, with marks for unlabelled.

        Raises:
            ValueError: a parameter, the table or the labels cannot be used.
            FloatingPointError: every training diverged.
        """
        X, y = rows_of(X), to_labels(y)
        validate_data(self, X, y, skip_check_array=True)
        frame = self._frame(X, reset=True)
        targets = read_targets(y)
        check_consistent_length(frame, targets.codes)
        with as_value_errors():
            config = to_config(self.get_params(deep=False))
            table = make_table(frame, targets, wanted=not _is_frame(X))
            fitted = self._fitted(config, table, targets, frame.index)
        self._model, self._report = on_host(fitted.model), fitted.report
        self.n_novel_ = len(fitted.model.classes) - len(targets.classes)
        self.classes_ = with_novel(targets.classes, self.n_novel_)
        unlabelled = targets.codes == UNLABELLED
        codes, self.confidence_ = targets.codes.copy(), (~unlabelled).astype(float)
        found = table.row_numbers[table.y == UNLABELLED]
        codes[found], self.confidence_[found] = fitted.labels, fitted.confidence
        blank = codes == UNLABELLED
        if blank.any():  # rows without a cell: nobody can know, and each row gets a class
            codes[blank] = self._apply(X[blank])[1].labels
        self.labels_ = self.classes_[codes]
        self._headline = answer_of(fitted.labels, len(targets.classes), self.n_novel_)
        self.assignments_ = assignments(
            fitted, found, self.labels_, self.confidence_, self.classes_
        ).set_index(frame.index)[unlabelled]
        self.n_novel_probability_ = fitted.n_novel_probability
        self.hidden_class_score_ = fitted.hidden_class_score
        self.stability_ = fitted.stability
        self.setting_ = fitted.setting
        self.method_ = fitted.model.method
        self.hparams_ = dict(fitted.model.hparams)
        self.notes_ = table.notes
        self.columns_ = table.reading.frame() if table.reading is not None else None
        width = METHODS[self.method_].width
        self._n_features_out = int(self.hparams_[width] if width else self._model.means.shape[1])
        self._temperature = temperature_of(self._model, table)
        return self

    def predict(self, X: Any) -> np.ndarray:
        """The class of every row, `[n]`: a known one or a novel one."""
        labels = self._apply(X)[1].labels
        return np.asarray(self.classes_[labels])

    @in_single_precision
    def predict_proba(self, X: Any) -> np.ndarray:
        """The share of every class in every row, `f64[n, len(classes_)]`; a row adds up to 1.

        The softmax of minus the squared distances to the centroids; its temperature is the one
        under which the labels of the training rows are likeliest. It says how the row lies
        between the classes that were found, not whether these exist. The further a row is from
        all rows of its class, the nearer the shares are to equal ones.
        """
        x, applied = self._apply(X)
        labels = applied.labels
        logits = -applied.squared.astype(np.float64) / self._temperature
        logits -= logits.max(axis=1, keepdims=True)
        # Which of the novel classes it is, the method may say by other means than distance. Then
        # the two trade places; a tie goes to the class that `predict` names.
        rows = np.arange(len(logits))
        logits[rows, logits.argmax(axis=1)] = logits[rows, labels]
        logits[rows, labels] = 1e-9
        familiar = familiar_rows(self._model, x, applied)[:, None]
        return np.asarray(familiar * softmax(logits, axis=1) + (1 - familiar) / logits.shape[1])

    def transform(self, X: Any) -> np.ndarray:
        """The rows in the space in which classes are found, `f32[n, L]`."""
        return self._apply(X)[1].z[:, : self._n_features_out]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of the labelled rows that `predict` gives their class; others do not count.

        Raises:
            ValueError: no row of `y` is labelled.
        """
        X, targets = rows_of(X), read_targets(y)
        check_consistent_length(X, targets.codes, sample_weight)
        labelled = targets.codes != UNLABELLED
        right = self.predict(X)[labelled] == targets.classes[targets.codes[labelled]]
        weight = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(np.average(right, weights=weight))

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """The rows as a DataFrame whose columns are named as in `fit`."""
        if _is_frame(X):
            frame = validate_data(self, X, reset=reset, skip_check_array=True)
            if len(frame) < 1 + reset:
                raise ValueError(f"Found {len(frame)} sample(s) while {1 + reset} are required.")
            if any(types.is_complex_dtype(dtype) for dtype in X.dtypes):
                raise ValueError("Complex data not supported")
            if reset:
                with as_value_errors():
                    self._columns = checked_names(list(X.columns))
        else:
            array = validate_data(
                self,
                X,
                reset=reset,
                dtype=None,
                ensure_all_finite="allow-nan",
                ensure_min_samples=1 + reset,
            )
            frame = pd.DataFrame(array).infer_objects()
            if reset:
                self._columns = [f"x{i}" for i in range(array.shape[1])]
        return frame.set_axis(self._columns, axis=1)

    def _fitted(
        self, config: RunConfig, table: Table, targets: Targets, index: "pd.Index[Any]"
    ) -> Fit:
        n_known, reason = len(targets.classes), ""
        if (targets.codes != UNLABELLED).all():
            reason = "y has no unlabelled row (NaN, None or -1), so there is nothing to discover"
        elif n_known < _fewest_known(config):
            reason = f"y has {n_known} known class(es), and tuning by hiding some needs 3"
        tuned = not reason and self.n_candidates > 0
        if not tuned and config.method == "auto":
            config = dataclasses.replace(config, method=_DEFAULT.method)
        if reason:
            warnings.warn(
                f"{reason}; {config.method} is fitted without tuning, with the middle of the range"
                " of each hyperparameter that is not given",
                stacklevel=3,
            )
        progress = make_reporter() if self.verbose else Reporter()
        return fit(config, table, progress, index, tuned=tuned)

    @in_single_precision
    def _apply(self, X: Any) -> tuple[np.ndarray, Applied[np.ndarray]]:
        """The rows, encoded, and what the model says of them."""
        check_is_fitted(self, "classes_")
        frame = self._frame(rows_of(X), reset=False)
        encoder = self._model.encoder
        assert encoder is not None  # `make_table` always gives one
        with as_value_errors():
            x, odd = encode_rows(RawTable(frame), encoder)
            for note in odd:
                warnings.warn(note, stacklevel=3)
            return x, apply_model(self._model, x)


def _fewest_known(config: RunConfig) -> int:
    """Known classes that tuning needs: the judge can do with one, others hide two of three."""
    return 1 if config.method != "auto" and judged(config) else 3


def _is_frame(X: Any) -> bool:
    return isinstance(X, pd.DataFrame)
