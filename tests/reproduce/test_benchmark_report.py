import csv
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from html_pages import HOSTILE, Page, squeeze
from scipy.stats import rankdata
from tiers import few

from ncd_jax.methods import METHODS
from ncd_jax.report.templating import plotly_script
from ncd_jax.reproduce import report
from ncd_jax.reproduce.baselines import BASELINES
from ncd_jax.reproduce.report import render_benchmark, render_markdown, write_benchmark
from ncd_jax.reproduce.tables import (
    AUTO,
    Setting,
    collect,
    estimates,
    index_errors,
)
from ncd_jax.store.workdir import Workdir

DATASETS = ("letter", "optdigits", "usps")
TITLES = {"pbn": "PBN", "kmeans": "k-means", "lda_kmeans": "LDA + k-means"}
ENVIRONMENT = {"versions": {"jax": "0.10.2"}, "device": "1 x test device"}
UNKNOWN, KNOWN = Setting("tuned", False), Setting("tuned", True)
# The hidden-class score is at odds with the accuracy: auto must take the former.
LEVELS = {"pbn": 60, "kmeans": 80, "lda_kmeans": 90}
HIDDEN = {
    "pbn": {"letter": 0.9, "optdigits": 0.4, "usps": 0.7},
    "kmeans": {"letter": 0.5, "optdigits": 0.6, "usps": 0.7},
}
COLUMNS = (
    "dataset,method,k_known,hyperparameters,seed,evaluation,"
    "acc,nmi,ari,n_novel_estimated,known_accuracy,seconds"
)
PLOTLY = "/* Plotly */"


@pytest.fixture(scope="module", autouse=True)
def _nobody_draws():
    """Plotly's script is nearly all of a page."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(report, "plotly_script", lambda: PLOTLY)
        yield


def make_cell(dataset, method, k_known=False, hyperparameters="tuned"):
    return {
        "dataset": dataset,
        "method": method,
        "k_known": k_known,
        "hyperparameters": hyperparameters,
    }


def make_record(cell, acc, ks, truth=5, hidden=None, evaluations=("inductive", "transductive")):
    """A finished cell; inductive scores are 10 below transductive ones."""
    rows = [
        {
            **cell,
            "seed": seed,
            "n_novel_estimated": int(k),
            "evaluation": evaluation,
            "acc": float(a) - 10 * (evaluation == "inductive"),
            "nmi": float(a) * 0.9,
            "ari": float(a) * 0.7,
            "known_accuracy": None if hidden is None else 95.0,
            "seconds": 12.5,
        }
        for seed, (a, k) in enumerate(zip(acc, ks, strict=True))
        for evaluation in evaluations
    ]
    record = {
        "cell": cell,
        "environment": ENVIRONMENT,
        "rows": rows,
        "hparams": {},
        "n_novel_true": truth,
        "seconds": 12.5,
    }
    if hidden is not None:
        record |= {"hidden_class_score": hidden, "fold_scores": [hidden]}
    return record


def make_failed(cell, error):
    return {"cell": cell, "environment": ENVIRONMENT, "error": error}


def make_records(n_seeds=4, datasets=DATASETS, methods=tuple(LEVELS), settings=(False, True)):
    rng = np.random.default_rng(0)
    return [
        make_record(
            make_cell(dataset, method, k_known),
            LEVELS.get(method, 70) + rng.normal(0, 3) + rng.normal(0, 2, n_seeds),
            np.full(n_seeds, 5) if k_known else rng.integers(4, 8, n_seeds),
            hidden=HIDDEN.get(method, {}).get(dataset),
        )
        for dataset in datasets
        for method in methods
        for k_known in settings
    ]


@pytest.fixture(scope="module")
def records():
    return make_records()


@pytest.fixture(scope="module")
def frame(records):
    return pd.DataFrame([row for record in records for row in record["rows"]])


def accuracy(records, setting=UNKNOWN, evaluation="transductive", metric="acc"):
    wanted = setting, evaluation, metric
    tables = collect(records, TITLES).tables
    return next(t for t in tables if (t.setting, t.evaluation, t.metric) == wanted)


def chosen(records, setting=UNKNOWN):
    return collect(records, TITLES).chosen(setting)


def markdown_table(text, heading):
    """Cells of the first table under a heading, by its first column."""
    lines = text.split(heading + "\n", 1)[1].split("\n| ", 1)[1].split("\n\n")[0].splitlines()
    table = [[cell.strip() for cell in line.strip("| ").split(" | ")] for line in lines]
    return table[0], {line[0]: line[1:] for line in table[2:]}


@pytest.mark.parametrize("metric", ["acc", "nmi", "ari"])
@pytest.mark.parametrize("evaluation", ["inductive", "transductive"])
@pytest.mark.parametrize("setting", [UNKNOWN, KNOWN])
def test_means_and_deviations_agree_with_numpy(records, setting, evaluation, metric):
    table = accuracy(records, setting, evaluation, metric)
    means = {}
    for record in records:
        cell = record["cell"]
        if cell["k_known"] == setting.k_known:
            values = [r[metric] for r in record["rows"] if r["evaluation"] == evaluation]
            at = cell["method"], cell["dataset"]
            assert table.mean.at[at] == pytest.approx(np.mean(values))
            assert table.std.at[at] == pytest.approx(np.std(values))
            means.setdefault(cell["method"], []).append(np.mean(values))
    for method, values in means.items():
        assert table.summary.average[method] == pytest.approx(np.mean(values))


def test_ranks_agree_with_scipy_also_where_methods_tie():
    means = {"a": (70, 60, 90), "b": (80, 60, 50), "c": (80, 10, 90), "d": (10, 99, 90)}
    records = [
        make_record(make_cell(dataset, method), [mean], [5])
        for method, line in means.items()
        for dataset, mean in zip(DATASETS, line, strict=True)
    ]
    table = accuracy(records)
    expected = rankdata(-np.array(list(means.values())), axis=0)
    np.testing.assert_array_equal(table.ranks.loc[list(means)], expected)
    np.testing.assert_allclose(table.summary["rank"][list(means)], expected.mean(axis=1))
    assert table.by_rank[0] == list(means)[expected.mean(axis=1).argmin()]


def test_auto_goes_by_the_hidden_class_score_and_not_by_the_accuracy(records):
    table = accuracy(records)
    # Of equals, on usps, the first in the order of methods.
    assert table.chosen == {"letter": "pbn", "optdigits": "kmeans", "usps": "pbn"}
    assert table.mean.letter["pbn"] < table.mean.letter["kmeans"]
    for dataset, method in table.chosen.items():
        for value in (table.mean, table.std):
            assert value.at[AUTO, dataset] == value.at[method, dataset]
        # It stands in the place of what it took, and pushes nobody down.
        assert table.ranks.at[AUTO, dataset] == table.ranks.at[method, dataset]
    without = accuracy([r | {"hidden_class_score": None} for r in records])
    assert AUTO not in without.mean.index
    assert table.ranks.drop(AUTO).equals(without.ranks)


def test_auto_is_for_tuned_methods_of_the_package():
    records = [
        make_record(make_cell("usps", "pbn"), [60], [5], hidden=0.5),
        make_record(make_cell("usps", "pbn/other"), [60], [5], hidden=0.9),
        make_record(make_cell("usps", "lda_kmeans"), [90], [5]),
        make_record(make_cell("usps", "pbn", True), [60], [5]) | {"hidden_class_score": None},
        make_record(make_cell("usps", "pbn", hyperparameters="published"), [60], [5], hidden=1.0),
    ]
    assert chosen(records) == {"usps": "pbn"}
    assert chosen(records, KNOWN) == {}
    assert chosen(records, Setting("published", False)) == {}


def test_auto_compares_scores_of_as_many_folds():
    records = [
        make_record(make_cell("usps", "pbn"), [60], [5], hidden=0.5) | {"fold_scores": [0.4, 0.6]},
        make_record(make_cell("usps", "kmeans"), [60], [5], hidden=0.9) | {"fold_scores": [0.9]},
    ]
    assert chosen(records) == {"usps": "pbn"}


def test_a_method_that_lacks_a_dataset_is_not_averaged_or_ranked(records):
    lacking = [r for r in records if r["cell"] != make_cell("usps", "kmeans")]
    table = accuracy(lacking)
    assert table.summary.loc["kmeans", ["average", "rank"]].isna().all()
    assert table.by_rank[-1] == "kmeans"
    # The others are ranked among themselves on every dataset.
    assert (table.ranks.loc["lda_kmeans"] == 1).all()
    assert (table.ranks.loc["pbn"] == 2).all()
    _, lines = markdown_table(render_markdown(lacking, TITLES), "### Accuracy (ACC)")
    assert lines["k-means"][2:] == ["-", "-", "-"]
    assert "for a dataset is missing: k-means." in render_markdown(lacking, TITLES)


def test_bold_is_the_best_of_each_column(records):
    text = render_markdown(records, TITLES)
    for heading, best in (("### Accuracy (ACC)", 3), ("### NMI", 3), ("### ARI", 3)):
        header, lines = markdown_table(text, heading)
        assert header == ["method", *DATASETS, "average", "rank"]
        assert list(lines) == ["auto", "PBN", "k-means", "LDA + k-means"]
        for column in range(len(DATASETS) + 2):
            cells = [line[column] for line in lines.values()]
            values = [float(cell.strip("*").split(" ")[0]) for cell in cells]
            wanted = max(values) if column <= best else min(values)
            assert [c.startswith("**") for c in cells] == [v == wanted for v in values]
    assert "`auto` chose, by dataset: letter: PBN; optdigits: k-means; usps: PBN." in text


def test_equal_as_printed_is_equally_bold():
    accs = {"a": 70.01, "b": 69.99, "c": 69.9}
    records = [make_record(make_cell("usps", m), [acc], [5]) for m, acc in accs.items()]
    table = accuracy(records)
    assert table.is_best.usps.to_dict() == {"a": True, "b": True, "c": False}
    assert table.is_best.average.to_dict() == {"a": True, "b": True, "c": False}
    assert table.is_best["rank"].to_dict() == {"a": True, "b": False, "c": False}


def test_estimated_numbers_of_classes():
    records = [
        make_record(make_cell("usps", "pbn"), [1] * 4, [5, 6, 6, 5], truth=5, hidden=0.1),
        make_record(make_cell("letter", "pbn"), [1] * 4, [2, 2, 2, 2], truth=6, hidden=0.9),
        make_record(make_cell("usps", "kmeans"), [1] * 4, [9, 9, 9, 5], truth=5, hidden=0.2),
        make_record(make_cell("letter", "pbn", True), [1] * 4, [6] * 4, truth=6),
    ]
    records[0]["k_by_index"] = {"silhouette": [5, 7, 5, 5], "calinski": [5, 5, 5, 5]}
    records[1]["k_by_index"] = {"silhouette": [8, 8, 8, 8]}
    records[2]["k_by_index"] = {"silhouette": [3, 5, 5, None]}
    results = collect(records, TITLES)
    found = estimates(results, "tuned")
    assert found.truth == {"usps": 5, "letter": 6}
    assert found.error["pbn"] == np.mean([0.5, 4])
    assert np.isnan(found.error["kmeans"])
    assert found.error[AUTO] == np.mean([3, 4])
    errors = index_errors(results, "tuned")
    assert list(errors) == ["usps"]
    assert errors.usps.to_dict() == {
        ("silhouette", "pbn"): 0.5,
        ("silhouette", "kmeans"): pytest.approx(2 / 3),
        ("calinski", "pbn"): 0,
    }
    text = render_markdown(records, TITLES)
    header, lines = markdown_table(
        text, "## Estimated number of novel classes, tuned hyperparameters"
    )
    assert header == ["method", "usps", "letter", "mean absolute error"]
    assert lines["truth"][:2] == ["5", "6"]
    assert lines["PBN"] == ["5 (2x), 6 (2x)", "2", "2.25"]
    assert lines["k-means"] == ["9 (3x), 5 (1x)", "-", "-"]
    _, lines = markdown_table(text, "### By validity index")
    assert lines == {"silhouette": ["0.50", "0.67"], "calinski": ["0.00", "-"]}


def test_the_files(records, frame, tmp_path: Path):
    failed = make_failed(make_cell("usps", "sc"), "UserError: no\n  memory | at <all>")
    write_benchmark(Workdir(tmp_path), [*records, failed], TITLES)
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "benchmark.html",
        "results.csv",
        "results.md",
    ]
    with (tmp_path / "results.csv").open() as file:
        lines = list(csv.reader(file))
    assert ",".join(lines[0]) == COLUMNS
    read = pd.read_csv(tmp_path / "results.csv")
    expected = frame[COLUMNS.split(",")].astype(read.dtypes)
    pd.testing.assert_frame_equal(read, expected)
    text = (tmp_path / "results.md").read_text()
    assert (
        "- usps, sc (tuned hyperparameters, k unknown): UserError: no memory \\| at &lt;all>"
        in text
    )
    assert "- 19 cells: jax 0.10.2; device 1 x test device" in text


@pytest.mark.parametrize("render", [render_markdown, render_benchmark])
def test_what_the_figures_do_not_say_is_said_beside_them(render):
    records = make_records(1, ("usps",))
    text = squeeze(render(records, TITLES))
    assert "hyperparameters tuned once" in text
    assert "Seeds differ in what comes after: the refits and the clustering." in text
    for default in ("NCD SC scales the rows", "class_share", "five refits"):
        assert default in text
    assert "The one called Baseline is of this package" in text
    own = [r for r in records if r["cell"]["method"] not in BASELINES]
    assert "The one called Baseline" not in squeeze(render(own, TITLES))
    assert "tuned once" not in render([], TITLES)


def test_no_baseline_has_the_name_of_a_method():
    assert all(info.title.startswith("scikit-learn: ") for info in BASELINES.values())
    assert not any(info.title.startswith("scikit-learn") for info in METHODS.values())


def test_a_long_error_is_cut(records):
    text = render_markdown([make_failed(make_cell("usps", "sc"), "E: " + "x" * 5000)], TITLES)
    assert max(map(len, text.splitlines())) < 400


@pytest.fixture(scope="module")
def page(records):
    failed = make_failed(make_cell("usps", "sc"), "UserError: no memory")
    return Page(render_benchmark([*records, failed], TITLES))


def test_the_page(page, records):
    text = squeeze(page.text)
    assert "3 methods on 3 tables" in text
    assert "18 cells finished, 1 failed" in text
    assert "UserError: no memory" in text
    table = accuracy(records)
    for method in TITLES:
        assert f"{table.summary.average[method]:.1f}" in text
    shown = [attrs["data-figure"] for _, attrs in page.tags if "data-figure" in attrs]
    assert sorted(shown) == sorted(page.figures)
    assert len(shown) == 2 + 2 * len(DATASETS)
    for tag, attrs in page.tags:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base"}
        assert {"src", "href", "srcset", "data", "action"}.isdisjoint(attrs)


def test_the_accuracy_figure_shows_means_and_what_auto_took(page, records):
    table = accuracy(records)
    figure = page.figures["accuracy-0"]
    unknown, known = figure["data"]
    names = figure["layout"]["yaxis"]["ticktext"]
    assert names == [TITLES[m] for m in table.by_rank if m != AUTO]
    by_name = {t: (table.mean.letter[m], table.std.letter[m]) for m, t in TITLES.items()}
    assert unknown["x"] == [by_name[name][0] for name in names]
    assert [names[i] for i, s in enumerate(unknown["marker"]["symbol"]) if s == "diamond"] == [
        "PBN"
    ]
    assert known["x"] != unknown["x"]
    bars = [(s["x0"], s["x1"]) for s in figure["layout"]["shapes"][: len(names)]]
    for name, bar in zip(names, bars, strict=True):
        mean, std = by_name[name]
        assert bar == pytest.approx((max(0, mean - std), min(100, mean + std)))


def test_the_figure_of_estimates_shows_every_estimate_and_the_truth():
    records = [
        make_record(make_cell("usps", "pbn"), [1] * 4, [5, 6, 6, 6], truth=5),
        make_record(make_cell("usps", "kmeans"), [1] * 4, [3] * 4, truth=5),
    ]
    truth, points = Page(render_benchmark(records, TITLES)).figures["k-0"]["data"]
    assert truth["x"] == [5, 5]
    shown = zip(points["customdata"], points["x"], strict=True)
    assert sorted((name, k, n) for (name, n, _), k in shown) == [
        ("PBN", 5, 1),
        ("PBN", 6, 3),
        ("k-means", 3, 4),
    ]


LEAST = {
    "nothing": [],
    "only failures": [make_failed(make_cell("usps", "sc", True), "UserError: no memory")],
    "one seed, one dataset": make_records(1, ("usps",)),
    "one cell, k known": make_records(2, ("usps",), ("pbn",), (True,)),
    "published": [make_record(make_cell("usps", "pbn", hyperparameters="published"), [60], [5])],
    "no rows": [make_record(make_cell("usps", "pbn"), [], [])],
    "only transductive": [
        make_record(make_cell("usps", "pbn"), [60, 61], [5, 5], evaluations=("transductive",))
    ],
}


@pytest.mark.parametrize("kind", LEAST)
def test_little_is_enough(kind: str, tmp_path: Path):
    write_benchmark(Workdir(tmp_path), LEAST[kind], TITLES)
    page = Page((tmp_path / "benchmark.html").read_text())
    shown = [attrs["data-figure"] for _, attrs in page.tags if "data-figure" in attrs]
    assert sorted(shown) == sorted(page.figures)
    for text in (page.text, (tmp_path / "results.md").read_text()):
        assert not re.search(r"\b(None|nan|inf)\b", text)
    lines = (tmp_path / "results.csv").read_text().splitlines()
    assert lines[0] == COLUMNS
    assert len(lines) == 1 + sum(len(r.get("rows", ())) for r in LEAST[kind])
    if kind == "one seed, one dataset":
        assert "± 0.0" in page.text


@pytest.fixture(scope="module")
def hostile_html():
    # The others are a method and two titles: each table has two figures that take time to draw.
    records = make_records(2, HOSTILE[2::2], (*LEVELS, HOSTILE[0]))
    records += [make_failed(make_cell(name, name), f"UserError: {name}") for name in HOSTILE]
    records[0] |= {"environment": {HOSTILE[1]: HOSTILE[2]}}
    return render_benchmark(records, {"pbn": HOSTILE[3], HOSTILE[0]: HOSTILE[1]})


def test_hostile_names_stay_text(hostile_html: str):
    page = Page(hostile_html)
    assert len(page.scripts) == 3
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "svg", "a", "b"})
    for name in HOSTILE:
        assert squeeze(name) in squeeze(page.text)
    figures = str(page.figures).replace("<br>", "").replace("<extra></extra>", "")
    assert "<" not in figures


def test_hostile_names_stay_text_in_markdown():
    name = "| <b>x</b> *y* `z` [a](b) _c_ a_b"
    records = [make_record(make_cell(name, "pbn"), [60], [5])]
    text = render_markdown(records, {})
    assert r"\| &lt;b>x&lt;/b> \*y\* \`z\` \[a\](b) \_c\_ a_b" in text
    header = next(line for line in text.splitlines() if line.startswith("| method"))
    assert len(re.findall(r"(?<!\\)\|", header)) == 5


@pytest.mark.parametrize("kind", few(["usual", "nothing", "hostile"], "hostile"))
def test_a_browser_draws_it_without_complaint(kind: str, records, hostile_html: str, opened):
    pages = {"usual": records, "nothing": []}
    html = hostile_html if kind == "hostile" else render_benchmark(pages[kind], TITLES)
    with opened(html.replace(PLOTLY, plotly_script()), ready="body") as seen:
        assert seen.said == []
        drawn = seen.now()
    plots = [a for _, a in drawn.tags if "data-figure" in a]
    assert bool(plots) == (kind != "nothing")
    assert all("js-plotly-plot" in a.get("class", "") for a in plots)
    if kind == "hostile":
        assert not [a for t, a in drawn.tags if t in {"img", "a"} or "onload" in a]


def test_dataset_without_a_test_split_is_in_no_inductive_table():
    split = make_record(make_cell("usps", "pbn"), [70.0], [5], hidden=0.5)
    whole = make_record(
        make_cell("digits", "pbn"), [90.0], [5], hidden=0.5, evaluations=("transductive",)
    )
    table = accuracy([split, whole], evaluation="inductive")
    assert list(table.mean.columns) == ["usps"]
    assert table.summary.loc[AUTO, "rank"] == 1
