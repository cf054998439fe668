import dataclasses
import json

import numpy as np
import pytest

from ncd_jax.discovery.evaluate import ConfidenceCurve, accuracy_by_confidence
from ncd_jax.report.figures import (
    confidence_plot,
    fold_plot,
    hparam_plot,
    loss_plot,
    search_plot,
    size_plot,
)
from ncd_jax.report.findings import Findings
from ncd_jax.report.how_many import KCurve, RunnerUp, k_plot
from ncd_jax.report.latent_map import LatentMap, map_plot
from ncd_jax.report.plot_style import Figure, class_style, display_name, new_figure


def trace(figure: Figure, name: str):
    return next(t for t in figure.data if t["name"] == name)


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("<b>x</b>", "&lt;b&gt;x&lt;/b&gt;"),
        ("a & b", "a &amp; b"),
        ("&lt;", "&amp;lt;"),
        ("it's", "it's"),
        ("x" * 40, "x" * 27 + "…"),
        # Cut first and escape then, or half an entity would be left.
        ("<" * 40, "&lt;" * 27 + "…"),
    ],
)
def test_names_are_shown_as_they_are_written(name: str, shown: str):
    assert display_name(name) == shown


def test_search_marks_the_best_and_the_diverged(findings: Findings):
    figure = search_plot(findings.trials, findings.best)
    best = max(findings.trials, key=lambda t: t.score)
    assert list(trace(figure, "taken")["x"]) == [best.number]
    so_far = list(trace(figure, "best so far")["y"])
    assert so_far == sorted(so_far)
    assert so_far[-1] == best.score
    candidates = trace(figure, "candidate")
    diverged = [t.number for t in findings.trials if t.diverged]
    assert [i for i, s in enumerate(candidates["marker"]["symbol"]) if s == "x"] == diverged
    assert f"lr = {findings.trials[3].hparams['lr']:.4g}" in candidates["customdata"][3]


def test_search_tells_candidates_apart_that_stopped_early(findings: Findings):
    """Hollow, with the epoch; the line of the best so far does not count them."""
    best = next(t for t in findings.trials if t.number == findings.best)
    early = dataclasses.replace(best, number=99, score=1.0, stopped=50)
    figure = search_plot((*findings.trials, early), findings.best)
    assert list(trace(figure, "stopped early")["x"]) == [99]
    assert trace(figure, "stopped early")["marker"]["symbol"] == ["circle-open"]
    assert "stopped after epoch 50" in trace(figure, "stopped early")["customdata"][0]
    assert max(trace(figure, "best so far")["y"]) == best.score
    assert 99 not in trace(figure, "candidate")["x"]
    assert not trace(search_plot(findings.trials, findings.best), "stopped early")["visible"]


def test_folds_name_the_hidden_classes(findings: Findings):
    hidden = (("<a>", "b"), tuple("cdefgh"), ("i",), ("j",), ("k",))
    figure = fold_plot(findings.trials, findings.best, hidden)
    names = list(figure.layout["xaxis"]["ticktext"])
    assert names[:2] == ["&lt;a&gt;<br>b", "c<br>d<br>e<br>and 3 more"]
    everyone = trace(figure, "every candidate")
    assert len(everyone["y"]) == 5 * len(findings.trials)
    # Point and candidate belong together.
    assert everyone["y"][7] == findings.trials[everyone["customdata"][7]].fold_scores[7 % 5]
    best = findings.trials[findings.best]
    assert tuple(trace(figure, "taken")["y"]) == best.fold_scores


def test_only_hyperparameters_that_varied_are_shown(findings: Findings):
    fixed = [
        dataclasses.replace(t, hparams={**t.hparams, "w": 0.5, "dropout": 0.0})
        for t in findings.trials
    ]
    figure = hparam_plot(fixed, findings.best)
    assert figure is not None
    axes = figure.layout["xaxis"], figure.layout["xaxis2"]
    assert [axis["title"]["text"] for axis in axes] == ["lr", "latent_dim"]
    assert [axis.get("type") for axis in axes] == ["log", None]
    assert figure.layout["yaxis2"]["matches"] == "y"
    assert hparam_plot(findings.trials[:1], findings.best) is None


def test_k_curve_marks_choice_and_runner_up():
    curve = KCurve("silhouette", np.arange(2, 6), np.array([0.1, 0.4, 0.3, 0.2]), np.zeros(4), 3)
    figure = k_plot(curve)
    assert list(trace(figure, "chosen: 3")["x"]) == [3]
    assert list(trace(figure, "runner-up: 4")["y"]) == [0.3]
    assert curve.runner_up == RunnerUp(4, pytest.approx(0.3), 0.4, pytest.approx(1 / 3), 0.0, False)
    behind = dataclasses.replace(curve, chosen=4, tolerance=0.3)
    assert list(trace(k_plot(behind), "best index: 3")["y"]) == [0.4]
    assert dataclasses.replace(curve, chosen=9).runner_up is None
    one = KCurve("silhouette", np.array([2]), np.array([0.1]), np.zeros(1), 2)
    assert "runner-up" not in str(k_plot(one).data)


def test_k_curve_of_an_index_that_is_minimised():
    """Numbers without a value are left out, and low is good."""
    index = np.array([0.4, 0.1, 0.3, np.nan])
    figure = k_plot(KCurve("davies_bouldin", np.arange(2, 6), index, 0 * index, 3))
    assert figure.layout["yaxis"]["title"]["text"] == "Davies-Bouldin index (lower is better)"
    assert list(trace(figure, "mean over trainings")["x"]) == [2, 3, 4]
    assert list(trace(figure, "runner-up: 4")["y"]) == [0.3]
    nothing = KCurve("dunn", np.arange(2, 6), np.full(4, np.nan), np.full(4, np.nan), 2)
    assert not len(trace(k_plot(nothing), "mean over trainings")["x"])


def switch(figure: Figure, i: int) -> list[str]:
    visible = figure.layout["updatemenus"][0]["buttons"][i]["args"][0]["visible"]
    return [t["name"] for t, on in zip(figure.data, visible, strict=True) if on]


def test_map_gives_a_true_class_the_colour_of_its_counterpart():
    found = ["novel_0"] * 4 + ["novel_1"] * 3 + ["novel_10"] + ["old"] * 2
    truth = ["z"] * 4 + ["<a>"] * 3 + ["m"] + ["old"] * 2
    latent = LatentMap(
        np.zeros((10, 2)),
        np.arange(10),
        tuple(found),
        np.array([True] * 8 + [False] * 2),
        tuple(truth),
    )
    figure = map_plot(latent)
    assert switch(figure, 0) == ["known classes", "novel_0", "novel_1", "novel_10"]
    assert switch(figure, 1) == ["known classes", "z", "&lt;a&gt;", "m"]
    assert [t["visible"] for t in figure.data] == [True] * 4 + [False] * 3
    assert trace(figure, "z")["marker"]["color"] == trace(figure, "novel_0")["marker"]["color"]
    assert (
        trace(figure, "&lt;a&gt;")["marker"]["color"] == trace(figure, "novel_1")["marker"]["color"]
    )
    assert trace(figure, "novel_10")["text"][0] == "row 7<br>novel_10<br>truth: m"


def test_map_without_truth_has_no_switch():
    latent = LatentMap(np.zeros((1, 2)), np.array([4]), ("novel_0",), np.array([True]), None)
    assert "updatemenus" not in map_plot(latent).layout


def test_map_shows_every_point_once_per_colouring(findings: Findings):
    figure = map_plot(findings.latent_map)
    for i in (0, 1):
        names = switch(figure, i)
        assert sum(len(trace(figure, name)["x"]) for name in names) == len(findings.latent_map.row)


def test_forty_classes_all_look_different():
    assert len({class_style(i) for i in range(40)}) == 40


def test_sizes_and_loss():
    assert list(size_plot([5, 3]).data[0]["x"]) == [5, 3]
    assert list(loss_plot(np.array([3.0, 2.0])).data[0]["x"]) == [1, 2]
    assert loss_plot(np.array([3.0])).data[0]["mode"] == "markers"


def test_the_curve_with_its_counts():
    curve = ConfidenceCurve(np.array([0.3, 0.9]), np.array([0.25, 1.0]), np.array([40, 4]))
    figure = confidence_plot(curve)
    line = next(t for t in figure.data if t["name"] == "hidden classes")
    assert list(line["x"]) == [0.3, 0.9]
    assert list(line["y"]) == [0.25, 1.0]
    assert list(next(t for t in figure.data if t["name"] == "rows")["y"]) == [40, 4]
    # Four rows that were all right leave much room below, none above.
    assert line["error_y"]["array"][1] == 0
    assert line["error_y"]["arrayminus"][1] > 0.3
    assert 0.05 < line["error_y"]["array"][0] < 0.2


def test_one_row():
    figure = confidence_plot(accuracy_by_confidence([0.4], [True]))
    assert np.isfinite(figure.data[1]["error_y"]["arrayminus"]).all()


def test_a_figure_is_what_json_can_say():
    """Parts that are not named stay; gaps are no numbers."""
    figure = new_figure("a", "b")
    figure.add("scatter", x=np.arange(2), y=(1.0, np.nan), marker={"size": np.float32(3)})
    figure.update_layout(margin={"t": 20})
    figure.update_xaxes(range=[0, 1])
    plain = json.loads(json.dumps(figure.plain(), allow_nan=False))
    assert plain["data"] == [
        {"type": "scatter", "x": [0, 1], "y": [1, None], "marker": {"size": 3}}
    ]
    assert plain["layout"]["margin"] == {"l": 8, "r": 16, "t": 20, "b": 8}
    assert plain["layout"]["xaxis"]["range"] == [0, 1]
    assert plain["layout"]["xaxis"]["title"] == {"text": "a"}
