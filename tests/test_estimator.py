"""The estimator: scikit-learn's own checks, and what it answers beside them."""

import json
import multiprocessing
import os
import pickle
import re
import subprocess
import sys
import warnings

import jax
import jax.numpy as jnp
import numpy as np
import pandas as pd
import pytest
from html_pages import Page, squeeze, unpacked
from scipy.sparse import csr_matrix
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.exceptions import NotFittedError
from sklearn.frozen import FrozenEstimator
from sklearn.model_selection import GridSearchCV, KFold, ShuffleSplit, cross_val_score
from sklearn.neighbors import NearestCentroid
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import estimator_checks

from ncd_jax import NovelClassDiscovery, experiment, hidden_class_scorer
from ncd_jax.config import KConfig, RunConfig, SearchConfig, TrainConfig
from ncd_jax.data.own_table import read_table
from ncd_jax.discovery.problem import middle
from ncd_jax.estimator.fitting import Page as Drawn
from ncd_jax.estimator.fitting import to_config
from ncd_jax.read.options import ReadOptions
from ncd_jax.types import Interval

SMALL = {"n_candidates": 2, "n_folds": 2, "epochs": 3, "n_refits": 2, "k_max": 4}
SMALL |= {"k_index": "silhouette"}
# Tables of six columns, 129 to 256 rows and 65 to 128 new ones share their programs.
ALONE = {"method": "kmeans", "n_candidates": 0, "n_refits": 2, "random_state": 0}
JUDGED = {"setting": "ncd", "n_folds": 2, "random_state": 0}
NOT_APPLICABLE = {
    "check_classifiers_classes": "its last step has a class named -1, which means unlabelled here "
    "as for scikit-learn's own semi-supervised classifiers; test_classes_keep_type has the rest",
}
pytestmark = pytest.mark.usefixtures("simple_maps")
ignore_untuned = pytest.mark.filterwarnings("ignore:y has:UserWarning")


@ignore_untuned
@pytest.mark.filterwarnings("ignore::sklearn.exceptions.SkipTestWarning")
@estimator_checks.parametrize_with_checks(
    [NovelClassDiscovery(method="kmeans", **SMALL | {"k_max": 2})],
    expected_failed_checks=lambda estimator: NOT_APPLICABLE,
)
def test_scikit_learn_checks(estimator, check):
    if check.func.__name__ in NOT_APPLICABLE:
        pytest.skip(NOT_APPLICABLE[check.func.__name__])  # it would take long, and fail at its end
    check(estimator)


@pytest.mark.thorough
@ignore_untuned
@pytest.mark.parametrize(
    "check",
    [
        estimator_checks.check_methods_subset_invariance,
        estimator_checks.check_transformer_general,
    ],
)
def test_scikit_learn_checks_of_a_trained_method(check):
    check("NovelClassDiscovery", NovelClassDiscovery(method="pbn", **SMALL))


@pytest.fixture(scope="module")
def mixed():
    """Five classes in numbers and words with gaps; three of them are known by name."""
    rng = np.random.default_rng(0)
    true = rng.permutation(np.repeat(np.arange(5), 40))
    X = pd.DataFrame(
        {
            "size": np.where(rng.random(200) < 0.1, np.nan, 4.0 * true + rng.normal(size=200)),
            "colour": np.array(["red", "blue", "blue", "red", "blue"])[true],
        },
        index=rng.permutation(200),
    )
    X.loc[X.index[:5], "colour"] = None
    y = np.array(["cat", "dog", "emu", None, None], object)[true]
    return X, y


@pytest.fixture(scope="module")
def fitted(mixed):
    return NovelClassDiscovery(**JUDGED).fit(*mixed)


def test_what_is_found_in_a_frame(fitted, mixed, tmp_path):
    X, y = mixed
    novel = fitted.classes_[3:].tolist()
    assert fitted.classes_.tolist() == ["cat", "dog", "emu", *novel]
    assert novel == [f"novel_{i}" for i in range(fitted.n_novel_)]
    known = pd.notna(y)
    assert (fitted.labels_[known] == y[known]).all()
    assert set(fitted.labels_[~known]) == set(novel)
    assert fitted.report(tmp_path / "r.html").read_text().startswith("<!doctype html>")
    assert fitted.predict(X.iloc[:3]).shape == (3,)
    assert 0 <= fitted.hidden_class_score_ <= 1
    assert fitted.hparams_.keys() == {"shrinkage"}


def test_the_stored_model_knows_which_columns_are_one_category(fitted):
    """Colours with a gap, and gaps in sizes."""
    spec = fitted._model.spec
    assert spec.blocks == ((0, 3), (4, 6))
    assert spec in {spec}


@pytest.mark.thorough
@pytest.mark.parametrize("method", ["tabular_ncd", "cr_kd"])
def test_words_in_methods_that_make_new_rows(method, mixed):
    X, y = mixed
    ncd = NovelClassDiscovery(
        method=method, n_candidates=0, n_novel=2, n_refits=1, epochs=5, random_state=0
    ).fit(X, y)
    assert ncd._model.spec.blocks == ((0, 3), (4, 6))
    new = X.assign(colour="never seen")
    np.testing.assert_allclose(ncd.predict_proba(new).sum(axis=1), 1, rtol=1e-5)
    z = ncd.transform(new)
    assert z.shape == (200, ncd.hparams_["latent_dim"])  # columns that are not in use are left out
    assert np.isfinite(z).all()
    assert (z[:, -1] != 0).any()


def test_it_answers_as_a_run_does(fitted, mixed, tmp_path):
    X, y = mixed
    config = RunConfig(method="rca", setting="ncd", search=SearchConfig(folds=2))
    table = read_table(X.assign(label=y), "label")
    metrics = experiment.run(config, table, None, tmp_path / "run")
    assert fitted.hidden_class_score_ == metrics["hidden_class_score"]
    assert fitted.n_novel_ == metrics["n_novel_estimated"]
    labels = pd.read_csv(tmp_path / "run" / "assignments.csv")["label"]
    assert fitted.labels_[pd.isna(y)].tolist() == labels.tolist()


def test_every_parameter_has_its_place_in_a_configuration():
    ncd = NovelClassDiscovery(method="pbn", variant="", batch_size=32, random_state=7, **SMALL)
    assert to_config(ncd.get_params() | {"hparams": {"w": 0.5}, "n_novel": 3}) == RunConfig(
        method="pbn",
        hparams={"w": 0.5},
        search=SearchConfig(candidates=2, folds=2),
        train=TrainConfig(epochs=3, batch_size=32, refits=2),
        k=KConfig(index="silhouette", max=4, n_novel=3),
        seed=7,
    )


def test_shares_and_latents(fitted, mixed):
    X, _ = mixed
    shares = fitted.predict_proba(X)
    assert shares.shape == (200, len(fitted.classes_))
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    assert (fitted.classes_[shares.argmax(axis=1)] == fitted.predict(X)).all()
    z = fitted.transform(X)
    assert z.shape == (200, fitted._model.spec.n_features)
    assert (z[:, -1] != 0).any()  # columns that are not in use are left out
    frame = clone(fitted).set_output(transform="pandas")
    frame.__dict__ |= {k: v for k, v in fitted.__dict__.items() if k != "_sklearn_output_config"}
    out = frame.transform(X)
    assert out.index.equals(X.index)
    assert out.columns.tolist() == fitted.get_feature_names_out().tolist()


def test_new_rows_of_a_frame(fitted, mixed):
    X, _ = mixed
    assert fitted.feature_names_in_.tolist() == list(X.columns)
    new = X.iloc[:4].assign(colour=["red", "never seen", None, "blue"], size=[1.0, None, 1e9, -1])
    assert set(fitted.predict(new)) <= set(fitted.classes_)
    again = pickle.loads(pickle.dumps(fitted))
    np.testing.assert_array_equal(again.predict_proba(new), fitted.predict_proba(new))
    with pytest.raises(ValueError, match="same order"):
        fitted.predict(new[["colour", "size"]])
    with pytest.warns(UserWarning, match=r"'size' has 'two' \(row 1\) among its numbers"):
        odd = fitted.predict(new.assign(size=["1", "two", "3", "4"]))
    gap = fitted.predict(new.assign(size=[1, None, 3, 4]))
    np.testing.assert_array_equal(odd, gap)


@pytest.mark.parametrize(
    ("names", "dtype"), [((10, 20, 30), int), ((0.0, 1.0, 2.0), float), (("b", "c", "a"), object)]
)
def test_classes_keep_type(blobs, names, dtype):
    x, true = blobs([50] * 3, 6)
    y = np.array(names, dtype)[true]
    with pytest.warns(UserWarning, match=r"no unlabelled row.*kmeans is fitted without tuning"):
        ncd = NovelClassDiscovery(method="kmeans").fit(x, y)
    assert ncd.n_novel_ == 0
    assert np.isnan(ncd.hidden_class_score_)
    assert ncd.classes_.dtype == y.dtype
    assert ncd.classes_.tolist() == sorted(names)
    assert ncd.labels_.tolist() == y.tolist()
    scaled = make_pipeline(StandardScaler(), NearestCentroid()).fit(x, true)
    new = x + np.random.default_rng(0).normal(size=x.shape)
    nearest = np.array(names, dtype)[scaled.predict(new)]
    assert np.mean(ncd.predict(new) == nearest) > 0.9
    with pytest.raises(ValueError, match="no report"):
        ncd.report("r.html")


def test_too_few_known_classes_to_hide_some(blobs):
    x, true = blobs([50] * 4, 6)
    ncd = NovelClassDiscovery(method="auto", hparams={"shrinkage": 0.25}, n_novel=2, n_refits=1)
    with pytest.warns(UserWarning, match=r"2 known class.*rca is fitted without tuning"):
        ncd.fit(x, np.where(true < 2, true, -1))
    assert (ncd.method_, ncd.hparams_) == ("rca", {"shrinkage": 0.25})
    assert np.isnan(ncd.stability_), "there is nobody to agree with"
    assert ncd.classes_.tolist() == list(range(2 + ncd.n_novel_))


def test_the_judge_needs_few_known_classes_and_says_how_sure_it_is(blobs):
    x, true = blobs([60] * 4, 6)
    ncd = NovelClassDiscovery(random_state=0).fit(x, np.where(true < 2, true, -1))
    assert ncd.n_novel_probability_
    assert sum(ncd.n_novel_probability_.values()) == pytest.approx(1, abs=1e-3)
    assert ncd.confidence_.shape == true.shape
    np.testing.assert_array_equal(ncd.confidence_[true < 2], 1)
    assert ((ncd.confidence_[true >= 2] > 0) & (ncd.confidence_[true >= 2] < 1)).all()


def test_middle_of_a_range():
    space = {
        "a": Interval(0.0, 0.6),
        "b": Interval(1e-4, 1e-2, log=True),
        "c": Interval(8, 32, log=True, integer=True),
    }
    assert middle(space) == pytest.approx({"a": 0.3, "b": 1e-3, "c": 16})
    assert isinstance(middle(space)["c"], int)


@pytest.fixture(scope="module")
def plain(blobs):
    """k-means on five far blobs, two of them novel, in a pipeline and without a word."""
    x, true = blobs([40, 40, 40, 45, 40], 6)
    ncd = NovelClassDiscovery(n_novel=np.int64(2), **ALONE)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        return make_pipeline(StandardScaler(), ncd).fit(x, np.where(true < 3, true, -1)), x, true


def test_novel_classes_of_numbers_are_numbers(plain):
    pipeline, x, true = plain
    # The larger novel class comes first, and goes on behind the known ones.
    assert pipeline.predict(x).tolist() == true.tolist()
    assert pipeline[-1].labels_.tolist() == true.tolist()
    assert pipeline[-1].stability_ == 1
    assert pipeline.score(x, true) == 1


def test_shares_are_the_confidence_and_the_rest(plain):
    """The class that `predict` gives is the likeliest, with `confidence_` or level with another."""
    pipeline, x, _ = plain
    shares, ncd = pipeline.predict_proba(x), pipeline[-1]
    place = {name: i for i, name in enumerate(ncd.classes_.tolist())}
    labels = np.array([place[name] for name in pipeline.predict(x).tolist()])
    own = shares[np.arange(len(x)), labels]
    np.testing.assert_array_equal(shares.argmax(axis=1), labels)
    np.testing.assert_allclose(shares.sum(axis=1), 1)
    clear = ncd.confidence_ > 0.5
    assert clear.any()
    np.testing.assert_allclose(own[clear], ncd.confidence_[clear], rtol=1e-5)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"n_candidates": -1}, "^n_candidates=-1 is too small"),
        ({"n_folds": 0}, "^n_folds=0 is too small"),
        ({"method": "pnb"}, "^method='pnb' is unknown; choose"),
        ({"k_max": "ten"}, "^k_max='ten' has the wrong type"),
        ({"n_novel": "some"}, "^n_novel='some' has the wrong type"),
        ({"random_state": -5}, "^random_state=-5 is too small"),
        ({"hparams": {"rate": 1.0}}, r"hparams\[rate\] is not a hyperparameter"),
        ({"hparams": {"shrinkage": 2.0}}, r"hparams\[shrinkage\]=2.0 must lie in"),
        ({"variant": "fast"}, "has no variant 'fast'; choices: none"),
    ],
)
@pytest.mark.parametrize("n_classes", [3, 5])
@ignore_untuned
def test_mistakes_are_value_errors_in_the_words_of_the_estimator(
    blobs, parameters, message, n_classes
):
    """With three classes and with five: without tuning and with it."""
    x, true = blobs([10] * n_classes, 5)
    y = np.where(true < n_classes - 1, true, -1)
    with pytest.raises(ValueError, match=message):
        NovelClassDiscovery(**parameters).fit(x, y)


def test_what_is_refused(blobs):
    x, true = blobs([10] * 3, 3)
    frame = pd.DataFrame(x, columns=list("abc"))
    ncd = NovelClassDiscovery(method="kmeans", n_candidates=0)
    with pytest.raises(NotFittedError):
        ncd.report("r.html")
    with pytest.raises(ValueError, match="no labelled row"):
        ncd.fit(x, [-1] * 30)
    with pytest.raises(ValueError, match="infinite numbers throughout"):
        ncd.fit(frame.assign(a=np.inf), true)
    with pytest.raises(ValueError, match="Complex"):
        ncd.fit(frame * 1j, true)
    with pytest.raises(ValueError, match="sample"):
        ncd.fit(frame[:1], true[:1])
    with pytest.raises(ValueError, match="inconsistent numbers of samples"):
        ncd.fit(frame, true[:-1])
    with pytest.raises(ValueError, match="'novel_0' has a name that novel classes get"):
        ncd.fit(frame, np.array(["a", "novel_0", None], object)[true])


def test_frames_of_everybody_and_rows_without_a_cell(mixed):
    pa, pl = pytest.importorskip("pyarrow"), pytest.importorskip("polars")
    X, y = mixed
    ncd = NovelClassDiscovery(n_novel=2, **ALONE)
    wanted = clone(ncd).fit(X, y)
    assert wanted.columns_["read as"].tolist()[:2] == ["numbers", "categories (2 levels)"]
    assert wanted.assignments_.index.equals(X.index[pd.isna(y)])
    assert wanted.assignments_["label"].tolist() == wanted.labels_[pd.isna(y)].tolist()
    table = pa.Table.from_pandas(X, preserve_index=False)
    arrow_backed = table.to_pandas(types_mapper=pd.ArrowDtype)
    for frame, labels in [
        (pl.from_arrow(table), pl.Series(y.tolist())),
        (table, pa.array(y.tolist())),
        (arrow_backed, pd.Series(y, dtype="str")),
    ]:
        found = clone(ncd).fit(frame, labels)
        assert found.labels_.tolist() == wanted.labels_.tolist()
        np.testing.assert_array_equal(found.predict_proba(frame), wanted.predict_proba(X))
    blank = pd.DataFrame([[np.nan] * X.shape[1]] * 2, columns=X.columns, index=[900, 901])
    both = pd.concat([X.astype(object).iloc[:7], blank.astype(object), X.astype(object).iloc[7:]])
    with_blank = clone(ncd).fit(both, np.insert(y, 7, [None, "cat"]))
    np.testing.assert_array_equal(np.delete(with_blank.labels_, [7, 8]), wanted.labels_)
    assert with_blank.labels_[8] == "cat"
    assert with_blank.labels_[7] in with_blank.classes_
    assert with_blank.confidence_[7] == 0
    assert "2 rows without any cell left out: row 7, row 8" in with_blank.notes_[0]


def test_doubles_as_the_default_of_jax_do_no_harm(blobs):
    x, true = blobs([40] * 5, 6)
    y = np.where(true < 3, true, -1)
    ncd = NovelClassDiscovery(n_novel=2, **ALONE)
    wanted = clone(ncd).fit(x, y).predict(x)
    with jax.enable_x64(True):
        np.testing.assert_array_equal(clone(ncd).fit(x, y).predict(x), wanted)
        assert jnp.ones(1).dtype == jnp.float64


def test_importing_the_package_is_cheap():
    program = (
        "import sys, ncd_jax; assert not {'jax', 'numpy'} & set(sys.modules); "
        "assert 'NovelClassDiscovery' in dir(ncd_jax); assert not hasattr(ncd_jax, 'nothing')"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


def test_nothing_is_sure_of_rows_far_from_everything_or_of_gaps_alone(blobs):
    x, classes = blobs([40] * 5, 6, spread=0.5)
    y = np.where(classes < 3, classes, -1)
    fitted = NovelClassDiscovery(**JUDGED).fit(x, y)
    near = fitted.predict_proba(x).max(axis=1)
    assert np.median(near) > 0.9
    far = np.concatenate([1e4 * x[:5], x[:5] + 1e3, np.full((1, 6), np.nan)])
    assert fitted.predict_proba(far).max() < 0.3  # by chance: 1 of 5


def test_once_fitted_the_answer_stands_first(fitted, mixed):
    n, k = int(pd.isna(mixed[1]).sum()), fitted.n_novel_
    said = f"{k} novel class{'es' * (k > 1)} among {n} unlabelled rows"
    if (fitted.assignments_["label"].isin(["cat", "dog", "emu"])).any():
        said = f"of {n} unlabelled rows look like known classes"
    assert said in repr(fitted)
    assert said not in repr(clone(fitted))
    plain = clone(fitted)._repr_html_().count("sk-top-container")
    for page in (fitted._repr_html_(), fitted._repr_mimebundle_()["text/html"]):
        assert said in page
        assert "<td>novel_0</td>" in page
        assert page.count("sk-top-container") == plain
    assert said in fitted._repr_mimebundle_()["text/plain"]


def test_the_answer_escapes_names(mixed):
    X, y = mixed
    names = {"cat": "<b>cat</b>", "dog": "d", "emu": "e"}
    ncd = NovelClassDiscovery(n_novel=2, **ALONE)
    ncd.fit(X, np.array([names.get(name) for name in y], object))
    ncd.assignments_["label"] = "<b>cat</b>"
    assert "<b>cat" not in ncd._repr_html_()


def test_the_second_likeliest_class_of_every_unlabelled_row(fitted, mixed):
    found = fitted.assignments_
    assert list(found) == ["label", "confidence", "runner_up", "runner_up_confidence"]
    assert (found["runner_up"] != found["label"]).all()
    assert set(found["runner_up"]) <= set(fitted.classes_)
    most = np.minimum(found["confidence"], 1 - found["confidence"])
    assert (found["runner_up_confidence"] <= most + 1e-9).all()


@pytest.fixture(scope="module")
def two_new(blobs):
    """Rows of three known classes and two new ones, of which two thirds share the programs."""
    return blobs([40, 40, 40, 55, 55], 6)


@pytest.mark.parametrize("mark", [-1, None, np.nan])
def test_unlabelled_rows_are_never_wrong(two_new, mark):
    x, true = two_new
    y = np.array([mark if c > 2 else c for c in true.tolist()], None if mark == -1 else object)
    ncd = NovelClassDiscovery(n_novel=2, **ALONE).fit(x, y)
    known = true < 3
    right = ncd.predict(x)[known] == true[known]
    assert right.any()
    assert ncd.score(x, y) == right.mean()
    weight = np.arange(len(x), dtype=float)
    assert ncd.score(x, y, weight) == pytest.approx(np.average(right, weights=weight[known]))
    with pytest.raises(ValueError, match="no labelled row"):
        ncd.score(x, np.full(len(x), mark, y.dtype))
    with pytest.raises(ValueError, match="inconsistent numbers"):
        ncd.score(x, y[:-1])


def test_a_search_by_score_looks_at_labelled_rows_alone(two_new):
    x, true = two_new
    y, cv = np.where(true < 3, true, -1), KFold(3, shuffle=True, random_state=0)
    ncd = NovelClassDiscovery(n_novel=2, **ALONE)
    search = GridSearchCV(ncd, {"n_novel": [1, 2]}, cv=cv, error_score="raise").fit(x, y)
    scores = []
    for train, test in cv.split(x):
        labelled = test[true[test] < 3]
        one = clone(ncd).fit(x[train], y[train])
        scores.append((one.predict(x[labelled]) == true[labelled]).mean())
    assert search.cv_results_["mean_test_score"][1] == pytest.approx(np.mean(scores))


def test_a_page_from_python_stands_alone(fitted, mixed, tmp_path):
    """No files, no flags, and rows under their names."""
    X, y = mixed
    page = Page(fitted.report(tmp_path / "r.html").read_text().partition("<body>")[2])
    text = squeeze(page.text)
    at = re.search(r".{40}(\.csv| --|command).{20}", text)
    assert at is None, at
    assert not [attrs for tag, attrs in page.tags if tag == "a"]
    named = X.set_axis([f"<i>{i}" for i in range(len(X))])
    again = clone(fitted).fit(named, y)
    page = Page(again.report(tmp_path / "named.html").read_text())
    unlabelled = np.flatnonzero(pd.isna(y))
    rows = json.loads(unpacked(page.scripts[3]))["row"]
    assert rows == [f"<i>{i}" for i in unlabelled]
    drawn = [t for trace in page.figures["map"]["data"] for t in trace["text"]]
    assert drawn[0].startswith("row &lt;i&gt;")
    assert "<i>" in page.text, "typical rows"
    assert "i" not in {tag for tag, _ in page.tags}


def test_the_report_is_drawn_when_it_is_asked_for(fitted, mixed, monkeypatch, tmp_path):
    """Not in a fit: a cross-validation has many of them."""
    drawn = []
    render = "ncd_jax.estimator.fitting.render_report"
    monkeypatch.setattr(render, lambda findings, files: drawn.append(findings) or "page")
    ncd = clone(fitted).fit(*mixed)
    assert not drawn
    assert ncd.report(tmp_path / "r.html").read_text() == "page"
    ncd.report(tmp_path / "again.html")
    assert len(drawn) == 1
    sent = pickle.loads(pickle.dumps(ncd))
    monkeypatch.setattr(render, None)
    for each in (ncd, sent):
        assert each.report(tmp_path / "sent.html").read_text() == "page"


def test_a_report_is_drawn_before_it_is_sent():
    drawn = []
    page = Drawn(lambda: drawn.append("page") or "page")
    sent = pickle.loads(pickle.dumps(page))
    assert drawn == ["page"]
    assert sent.html() == page.html() == b"page"


def test_hidden_classes_rank_candidates(fitted, mixed):
    """No novel label, and whatever the rows that are held out."""
    X, y = mixed
    y = pd.Series(y, X.index)
    ncd = clone(fitted)
    # As many rows as share their programs with those of all rows.
    ((train, test),) = ShuffleSplit(1, test_size=0.15, random_state=0).split(X)
    cv, pipeline = [(train, test)], make_pipeline("passthrough", ncd)
    (score,) = cross_val_score(pipeline, X, y, cv=cv, scoring=hidden_class_scorer)
    fit = clone(ncd).fit(X.iloc[train], y.iloc[train])
    assert 0 <= score == fit.hidden_class_accuracy_ <= 1
    held_out = y.iloc[::-1].to_numpy()
    assert hidden_class_scorer(fit, None, held_out) == hidden_class_scorer(fit, X)
    alone = ALONE | {"n_novel": 2}
    grid = [{"n_folds": [2]}, {name: [value] for name, value in alone.items()}]
    with pytest.warns(Warning, match="non-finite|Scoring failed"):
        found = GridSearchCV(ncd, grid, cv=cv, scoring=hidden_class_scorer, refit=False).fit(X, y)
    assert found.cv_results_["mean_test_score"][0] == score
    assert np.isnan(found.cv_results_["mean_test_score"][1])
    with pytest.raises(ValueError, match="no known class was hidden"):
        hidden_class_scorer(clone(ncd).set_params(**alone).fit(X, y), X)
    with pytest.raises(NotFittedError):
        hidden_class_scorer(ncd, X)


def test_labels_in_another_order_are_warned_of(mixed):
    X, y = mixed
    y = pd.Series(y, X.index)
    ncd = NovelClassDiscovery(n_novel=2, **ALONE)
    other = y.sample(frac=1, random_state=0)
    with pytest.warns(UserWarning, match=r"in another order.*y.loc\[X.index\]") as told:
        ncd.fit(X, other)
    assert told[0].filename == __file__
    assert ncd.labels_[:50].tolist() != y[:50].tolist()
    by_place = clone(ncd).fit(X, other.to_numpy())
    assert by_place.labels_.tolist() == ncd.labels_.tolist()
    with pytest.warns(UserWarning, match="in another order") as told:
        ncd.score(X, other)
    assert told[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ncd.fit(X, y)
        ncd.fit(X, y.reset_index(drop=True).set_axis([f"r{i}" for i in range(200)]))
        ncd.fit(X, y.loc[X.index])


@pytest.mark.parametrize("dtype", ["Int64", "UInt8", "int64[pyarrow]"])
def test_whole_numbers_with_gaps_stay_whole(blobs, dtype):
    x, true = blobs([40, 40, 40, 70], 6)
    y = pd.Series(true, dtype=dtype).mask(true > 2)
    ncd = NovelClassDiscovery(n_novel=1, **ALONE)
    for labels in (y, y.array, y.to_frame()):
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "A column-vector y")
            found = clone(ncd).fit(x, labels)
        assert found.classes_.dtype.kind == "i"
        assert found.labels_.tolist() == true.tolist()


@pytest.mark.skipif("fork" not in multiprocessing.get_all_start_methods(), reason="no fork here")
def test_a_forked_process_says_what_to_do_instead_of_waiting_for_ever(plain):
    """Who forks and does not ask us, is left alone."""
    pipeline, x, _ = plain
    forking = multiprocessing.get_context("fork")

    def said_by(work):
        ours, theirs = forking.Pipe()

        def run():
            try:
                theirs.send(work())
            except RuntimeError as error:
                theirs.send(str(error))
            os._exit(0)  # nothing of this session is to be torn down there

        process = forking.Process(target=run)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Python and JAX warn of forks where there are threads
            process.start()
        try:
            assert ours.poll(60), "it waits for ever"
            return ours.recv()
        finally:
            process.kill()
            process.join()

    assert said_by(lambda: len(x)) == len(x)
    assert "get_context('spawn')" in said_by(lambda: pipeline.predict(x).tolist())


def test_what_others_of_scikit_learn_ask_for(blobs):
    """Each is refused in one sentence, or works."""
    x, true = blobs([40, 40, 40, 70], 6)
    y = np.where(true < 3, true, -1)
    ncd = NovelClassDiscovery(n_novel=1, **ALONE)
    with pytest.raises(TypeError, match=r"Sparse data was passed.*dense"):
        ncd.fit(csr_matrix(x), y)
    with pytest.raises(TypeError, match="sample_weight"):
        ncd.fit(x, y, sample_weight=np.ones(len(x)))
    ncd.fit(x, y)
    calibrated = CalibratedClassifierCV(FrozenEstimator(ncd), cv=2).fit(x, ncd.labels_)
    assert calibrated.predict(x).tolist() == true.tolist()


@pytest.fixture(scope="module")
def last_year():
    """Three known classes and a new one on two plates; nobody has labelled since June."""
    rng = np.random.default_rng(0)
    true = rng.permutation(np.repeat(np.arange(4), 50))
    x = 6 * np.eye(4)[true] + rng.normal(size=(200, 4))
    days, plate = rng.permutation(200) // 2, rng.integers(0, 2, 200)
    X = pd.DataFrame(x + 3 * plate[:, None], columns=list("abcd"))
    X["joined"] = pd.Timestamp("2025-04-01") + pd.to_timedelta(days, "D")
    X["plate"], X["hour"] = np.array(["A", "B"])[plate], rng.uniform(0, 24, 200)
    labelled = (true < 3) & (days < 57)
    return X, np.where(labelled, np.char.add("class ", true.astype(str)), None).astype(object)


def test_columns_are_named_as_the_command_names_them(last_year):
    X, y = last_year
    ncd = NovelClassDiscovery(n_novel=1, **ALONE)
    said = {"group": "plate", "circular": {"hour": 24}}
    with pytest.warns(UserWarning, match="no random sample") as told:
        plain = clone(ncd).set_params(**said).fit(X, y)
    assert told[0].filename == __file__
    assert {str(each.message) for each in told} < set(plain.notes_)
    read_as = plain.columns_.set_index("column")["read as"]
    assert read_as["joined"] == "left out"
    assert "circular, period 24" in read_as["hour"]
    remedy = "'joined' is left out, use=joined takes it back"
    assert any(remedy in note for note in plain.notes_)

    with pytest.warns(UserWarning, match="as use says"):
        used = clone(plain).set_params(use="joined", circular=["hour:24"]).fit(X, y)
    options = ReadOptions(group="plate", circular=["hour:24"], use=["joined"])
    table = read_table(X.assign(label=y), "label", options=options)
    assert used._model.encoder == table.encoder
    assert table.encoder.centres.column == "plate"
    assert used.predict(X).tolist() == used.labels_.tolist()


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"group": "plait"}, "did you mean 'plate'"),
        ({"use": ["joined", "left"]}, "no column 'left'"),
        ({"circular": {"hour": "day"}}, "^circular=hour:day does not say after what"),
        ({"circular": {"joined": 3}}, "column 'joined' is no numbers; take it from circular"),
    ],
)
def test_columns_that_are_not_there(last_year, parameters, message):
    X, y = last_year
    with pytest.raises(ValueError, match=message):
        NovelClassDiscovery(method="kmeans", n_candidates=0, **parameters).fit(X, y)
    with pytest.raises(ValueError, match="x7"):
        NovelClassDiscovery(group="x7").fit(X[list("abcd")].to_numpy(), y)
