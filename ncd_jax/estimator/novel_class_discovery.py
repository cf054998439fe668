"""Novel class discovery as scikit-learn's users know it: an estimator."""

import dataclasses
import html
import warnings
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from pandas.api import types
from sklearn.base import (
    BaseEstimator,
    ClassifierMixin,
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
)
from sklearn.pipeline import Pipeline
from sklearn.utils import check_consistent_length
from sklearn.utils.validation import check_is_fitted, validate_data

from ncd_jax.config import RunConfig
from ncd_jax.data.own_table import RowEncoder
from ncd_jax.data.selection import NOT_RANDOM
from ncd_jax.data.table import Table
from ncd_jax.data.targets import Targets, make_table, read_targets, with_novel
from ncd_jax.discovery.model import Answered, assign, latents, on_host
from ncd_jax.discovery.problem import judged
from ncd_jax.estimator.asking import (
    FitRows,
    question_frame,
    question_shown,
    resorted,
    shown_cells,
)
from ncd_jax.estimator.fitting import Fit, as_value_errors, fit, in_python, on_device, to_config
from ncd_jax.estimator.rows import check_order, reading_of, rows_of
from ncd_jax.export import export_model
from ncd_jax.methods import METHODS
from ncd_jax.progress import Reporter
from ncd_jax.read.dtypes import to_labels
from ncd_jax.read.names import checked_names
from ncd_jax.read.raw import RawTable
from ncd_jax.report.console import make_reporter
from ncd_jax.report.questions import ShownQuestion
from ncd_jax.types import UNLABELLED

__all__ = ["NovelClassDiscovery", "hidden_class_scorer"]

_DEFAULT = RunConfig()


class NovelClassDiscovery(
    ClassNamePrefixFeaturesOutMixin,
    TransformerMixin,
    ClassifierMixin,
    BaseEstimator,
):
    """Finds classes that nobody has named among unlabelled rows, and how many there are.

    A row is unlabelled where `y` is NaN, None, `pd.NA`, -1 or an empty text. As -1 is such a mark,
    no class can have that name. Tuning hides known classes and needs three; with fewer, with
    `n_candidates=0`, and where no row is unlabelled, hyperparameters that are not given are in
    the middle of their range, nothing is scored on hidden classes, and there is no report.

    `X` is numeric or, as a frame of pandas, Polars or Arrow, has columns of any kind: numbers,
    truth values, categories, text, dates, each with gaps. Sparse matrices are refused, and so are
    infinite numbers in arrays; in a frame they are gaps, of which a note tells.

    As everywhere in scikit-learn rows of `X` and `y` belong together by their place: where both
    have an index, and `y` has that of `X` in another order, a warning says so. Rows have no
    weights. `confidence_` is calibrated on hidden classes; `CalibratedClassifierCV` needs a label
    on every row, and takes a fit, frozen, with `labels_`. For GridSearchCV there is
    `hidden_class_scorer`. Other processes that are to predict are spawned, not forked.

    Args:
        method: a name in `ncd_jax.methods.METHODS`, one of your own that was registered among them
            (`ncd_jax.register`), or `auto`: all are tuned, the best answers.
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
        use: columns of `X` that stay features though labels end in them.
        group: a column of `X` that says what rows belong together, such as plates or sessions; it
            is no feature. Folds keep groups whole, and numbers are centred within them where that
            helps.
        circular: columns of numbers that begin again, and after what: `{"direction": 360}`, or as
            the command has it, `["direction:360"]`.
        random_state: an integer for the same answer each time; it is the seed of a run.
        verbose: whether progress is told on stderr.
        answers: what `tell` is told at the end of `fit`, so that a pipeline repeats it.

    Attributes:
        classes_: known classes, sorted, then novel ones, the largest first. Where known classes
            are numbers, novel ones are the whole numbers behind them; else they are `novel_0`,
            `novel_1`, ... The report calls them that in any case.
        n_novel_: number of novel classes.
        labels_: class of every training row. Labelled rows keep their label, unlabelled ones get
            a novel class or, in the setting `gcd`, a known one. `predict` gives them the same.
        setting_: `ncd` or `gcd`, as it was taken.
        confidence_: how likely each training row is in the class that stands for its own: 1 for
            labelled rows, NaN without tuning, 0 for rows without any cell.
        assignments_: both, of the unlabelled rows, under the index of the frame, and the second
            likeliest class with its confidence: none without tuning.
        n_novel_probability_: from number of novel classes to its probability; empty where the
            number was given, or an index chose it.
        hidden_class_score_: share of rows of hidden classes that were sorted right, the mean
            over folds; NaN without tuning. It chose the hyperparameters, so it flatters.
        hidden_class_accuracy_: the same share where the whole procedure was repeated on the folds,
            each answered without its classes; NaN without tuning.
        hidden_class_accuracy_by_: the same for folds that hid `several` classes and `one`, of those
            that there are.
        stability_: mean adjusted Rand index between the partitions of which the central one
            answers, of three cuts of the rows or of the refits; NaN where there is one.
        method_: the method that gave the answer.
        hparams_: its hyperparameters.
        notes_: for people: columns that were left out, and why.
        questions_: what a person may be asked next, for `tell`; computed when it is read.
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
        use: str | Collection[str] | None = None,
        group: str | None = None,
        circular: Mapping[str, float] | Collection[str] | None = None,
        random_state: Any = None,
        verbose: bool = False,
        answers: Mapping[str, str] | None = None,
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
        self.use = use
        self.group = group
        self.circular = circular
        self.random_state = random_state
        self.verbose = verbose
        self.answers = answers

    @on_device
    def fit(self, X: Any, y: Any) -> "NovelClassDiscovery":
        """Finds the novel classes among the unlabelled rows.

        Args:
            X: `[n, d]`, an array or DataFrame.
            y: `[n]`, labels: text, whole numbers or truth values, with marks for unlabelled.

        Raises:
            ValueError: a parameter, the table or the labels cannot be used.
            FloatingPointError: every training diverged.
        """
        X = rows_of(X)
        check_order(X, y, 5)
        y = to_labels(y)
        validate_data(self, X, y, skip_check_array=True)
        frame = self._frame(X, reset=True)
        targets = read_targets(y)
        check_consistent_length(frame, targets.codes)
        with as_value_errors():
            config = to_config(self.get_params(deep=False))
            chosen = not isinstance(X, pd.DataFrame)
            options = reading_of(self.get_params(deep=False), frame, chosen=chosen)
            table = make_table(frame, targets, options)
            fitted = self._fitted(config, table, targets, frame.index)
        self._page = fitted.page
        self._fit = fitted._replace(model=on_host(fitted.model), page=None)
        self._told: tuple[dict[str, Any], dict[int, Any]] = ({}, {})
        self.method_ = fitted.model.method
        self.hparams_ = dict(fitted.model.hparams)
        width = METHODS[self.method_].width
        in_view = self._fit.model.reference.z.shape[1]
        self._n_features_out = int(self.hparams_[width] if width else in_view)
        found = table.row_numbers[table.y == UNLABELLED]
        blank = targets.codes == UNLABELLED
        blank[found] = False
        blanks = X[blank] if blank.any() else None
        cells = shown_cells(fitted.asked, table, found)
        self._rows = FitRows(targets, frame.index, found, blank, blanks, cells)
        self._settle(fitted)
        self.hidden_class_score_ = fitted.metric("hidden_class_score")
        self.hidden_class_accuracy_ = fitted.metric("hidden_class_accuracy")
        self.hidden_class_accuracy_by_ = fitted.metrics.get("hidden_class_accuracy_by", {})
        self.stability_ = fitted.metric("stability")
        self.setting_ = fitted.metrics["setting"]
        self.notes_ = tuple(map(in_python, table.notes))
        for note in self.notes_:
            if note.startswith(NOT_RANDOM):
                warnings.warn(note, stacklevel=4)
        self.columns_ = table.reading.frame() if table.reading is not None else None
        return self.tell(self.answers) if self.answers else self

    @property
    def questions_(self) -> pd.DataFrame:
        """The next ten questions for `tell`, the most useful first.

        Columns are those of a run's `questions.csv`: `question`, its name; `kind`, where `same`
        asks whether rows of both groups are one class and `known` whether those of the first one
        are `known_class`; `rows_a` and `rows_b`, six rows of each group by their place in `X`;
        `rows_moved` by another answer than the assumed one; `chance_yes`. There is none without the
        judge, and where no row is new.

        Raises:
            NotFittedError: nothing was fitted.
        """
        check_is_fitted(self)
        return question_frame(self._fit, self._rows, self._told)

    def ask(self, question: str | None = None) -> ShownQuestion:
        """One of `questions_` with its rows, the first by default; a table in a notebook.

        Raises:
            NotFittedError: nothing was fitted.
            ValueError: there is nothing to ask, or no such question.
        """
        check_is_fitted(self)
        return question_shown(self._fit, self._rows, self._told, question)

    @on_device
    def tell(
        self,
        answers: Mapping[str, str | None] | None = None,
        labels: Mapping[int, Any] | None = None,
    ) -> "NovelClassDiscovery":
        """Sorts the rows again by what a person says; nothing is fitted.

        `labels_`, `classes_`, `n_novel_`, `confidence_`, `assignments_` and `predict` speak of the
        answer after all answers, which may be told at once or one after the other. The report and
        what was measured on hidden classes are those of the fit.

        Args:
            answers: from the name of a question to `yes`, `no`, `mixed`, `unknown`, or `known:` and
                the name of a known class; None takes the answer back.
            labels: from the place of an unlabelled row in `X` to its class, a known one or any name
                for a new one; None takes it back.

        Raises:
            NotFittedError: nothing was fitted.
            ValueError: there is nothing to ask, no such question, answer or unlabelled row.
        """
        check_is_fitted(self)
        told = (
            {k: v for k, v in (self._told[0] | dict(answers or {})).items() if v is not None},
            {k: v for k, v in (self._told[1] | dict(labels or {})).items() if v is not None},
        )
        found = resorted(self._fit, self._rows, told)
        numbers = self._fit.metrics.get("n_novel_probability", {})
        if found.numbers is not None:
            numbers = {str(k): p for k, p in enumerate(found.numbers.tolist(), 1) if p >= 5e-5}
        fitted = self._fit._replace(
            model=found.model,
            labels=found.labels,
            confidence=found.confidence,
            runners_up=found.runner_up,
            runner_up_confidence=found.runner_up_confidence,
        )
        self._told = told
        self._settle(fitted, numbers)
        return self

    def _settle(self, fitted: Fit, numbers: Mapping[str, float] | None = None) -> None:
        """Sets all that hangs on the class of each row."""
        targets, index, found, blank, blank_rows, _ = self._rows
        self._model = on_host(fitted.model)
        self.n_novel_ = len(fitted.model.classes) - len(targets.classes)
        self.classes_ = with_novel(targets.classes, self.n_novel_)
        unlabelled = targets.codes == UNLABELLED
        codes, self.confidence_ = targets.codes.copy(), (~unlabelled).astype(float)
        codes[found], self.confidence_[found] = fitted.labels, fitted.confidence
        if blank_rows is not None:  # without a cell: nobody can know, and each row gets a class
            codes[blank] = self._answer(blank_rows).labels
        self.labels_ = self.classes_[codes]
        every = fitted.assignments(found, self.labels_, self.confidence_, self.classes_)
        self.assignments_ = every.set_index(index)[unlabelled]
        self._headline = fitted.headline(len(targets.classes), self.n_novel_)
        likely = fitted.metrics.get("n_novel_probability", {}) if numbers is None else numbers
        self.n_novel_probability_ = {int(k): p for k, p in likely.items()}

    def predict(self, X: Any) -> np.ndarray:
        """The class of every row, `[n]`: a known one or a novel one.

        Rows of the fit get the class that they have in `labels_`.
        """
        labels = self._answer(X).labels
        return np.asarray(self.classes_[labels])

    def predict_proba(self, X: Any) -> np.ndarray:
        """How likely each class is, in every row, `f64[n, len(classes_)]`; a row adds up to 1.

        The class that `predict` gives has its confidence (`confidence_` for rows of the fit), or as
        much as the next likeliest where that is less; the others share the rest, the nearer ones
        more of it. Without tuning nobody knows how sure to be, and the shares are a guess.
        """
        return self._answer(X).shares

    @on_device
    def transform(self, X: Any) -> np.ndarray:
        """The rows in the space in which they are shown, `f32[n, L]`."""
        return latents(self._model, self._encoded(X))[:, : self._n_features_out]

    def score(self, X: Any, y: Any, sample_weight: Any = None) -> float:
        """The share of the labelled rows that `predict` gives their class; others do not count.

        Raises:
            ValueError: no row of `y` is labelled.
        """
        X = rows_of(X)
        check_order(X, y, 3)
        targets = read_targets(y)
        check_consistent_length(X, targets.codes, sample_weight)
        labelled = targets.codes != UNLABELLED
        right = self.predict(X)[labelled] == targets.classes[targets.codes[labelled]]
        weight = None if sample_weight is None else np.asarray(sample_weight)[labelled]
        return float(np.average(right, weights=weight))

    def report(self, path: str | Path) -> Path:
        """Draws the report of the fit, which says so after answers: one self-contained HTML file.

        Raises:
            NotFittedError: nothing was fitted.
            ValueError: the fit was without tuning.
        """
        check_is_fitted(self)
        if self._page is None:
            raise ValueError("there is no report of a fit without tuning, as this one was")
        Path(path).write_bytes(self._page.html(len(self._told[0]) + len(self._told[1])))
        return Path(path)

    @on_device
    def export(self, platforms: tuple[str, ...] = ("cpu", "cuda")) -> bytes:
        """The fitted model as bytes that need neither Flax nor this estimator to be used.

        `ncd_jax.load_exported(data)` gives a function from rows, in the columns that `X` had, to
        their classes and how sure these are, as `predict` and a run's `--mode=assign` have them.
        What is inside, and what is not, `ncd_jax.export` says.

        Args:
            platforms: where it may run, in the names of JAX.

        Raises:
            NotFittedError: nothing was fitted.
        """
        check_is_fitted(self)
        return export_model(self._model, self.classes_.tolist(), self._columns, platforms)

    def __repr__(self, N_CHAR_MAX: int = 700) -> str:
        said = getattr(self, "_headline", "")
        shown = super().__repr__(N_CHAR_MAX)  # pyrefly: ignore[bad-argument-count]
        return f"{shown}  # {said}" if said else shown

    def _repr_html_inner(self) -> str:
        page = str(super()._repr_html_inner())
        if not getattr(self, "_headline", ""):
            return page
        classes = self.assignments_.groupby("label", sort=False)["confidence"]
        sizes = classes.agg(["size", "mean"]).sort_values("size", ascending=False)
        sizes = sizes.set_axis(["rows", "mean confidence"], axis=1).rename_axis("class")
        table = sizes.reset_index().to_html(index=False, float_format="{:.1%}".format, border=0)
        return f"<p><strong>{html.escape(self._headline)}</strong></p>{table}{page}"

    def _repr_mimebundle_(self, **kwargs: Any) -> dict[str, str]:
        bundle: dict[str, str] = super()._repr_mimebundle_(**kwargs)
        if "text/html" in bundle:
            bundle["text/html"] = self._repr_html_inner()
        return bundle

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.input_tags.categorical = True
        tags.input_tags.string = True
        tags.transformer_tags.preserves_dtype = []
        return tags

    def _frame(self, X: Any, *, reset: bool) -> pd.DataFrame:
        """The rows as a DataFrame whose columns are named as in `fit`."""
        if isinstance(X, pd.DataFrame):
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
                stacklevel=5,
            )
        progress = make_reporter() if self.verbose else Reporter()
        return fit(config, table, progress, index, tuned=tuned)

    @on_device
    def _answer(self, X: Any) -> Answered:
        x = self._encoded(X)
        return assign(self._model, x)

    def _encoded(self, X: Any) -> np.ndarray:
        check_is_fitted(self, "classes_")
        frame = self._frame(rows_of(X), reset=False)
        encoder = self._model.encoder
        assert encoder is not None  # `make_table` always gives one
        with as_value_errors():
            x, odd = RowEncoder(encoder).encode(RawTable(frame))
        for note in odd:
            warnings.warn(note, stacklevel=4)
        return x


def _fewest_known(config: RunConfig) -> int:
    """Known classes that tuning needs: the judge can do with one, others hide two of three."""
    return 1 if config.method != "auto" and judged(config) else 3


def hidden_class_scorer(estimator: Any, X: Any, y: Any = None) -> float:
    """Ranks fits by how well they sort rows of classes that were hidden from them.

    For `GridSearchCV(ncd, {...}, scoring=hidden_class_scorer)` and `cross_val_score`. No novel
    label is needed: each fit hides known classes of its own training rows and answers for them
    (`hidden_class_accuracy_`), so the held-out rows have no say. What changes nothing for hidden
    classes, such as `n_novel`, it cannot rank.

    Args:
        estimator: a fitted `NovelClassDiscovery`, or a pipeline that ends with one.
        X: not looked at.
        y: not looked at.

    Returns:
        The share of rows of hidden classes that were sorted right.

    Raises:
        ValueError: no class was hidden, as where the fit was without tuning.
    """
    last = estimator[-1] if isinstance(estimator, Pipeline) else estimator
    check_is_fitted(last, "hidden_class_accuracy_")
    if np.isnan(last.hidden_class_accuracy_):
        raise ValueError("no known class was hidden in this fit; tune, with three known classes")
    return float(last.hidden_class_accuracy_)
