import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pytest
from html_pages import HOSTILE, Page, browse, run_browser, squeeze

from ncd_jax.report.findings import Findings, Ranked
from ncd_jax.report.page import render_report


@pytest.fixture(scope="module")
def page(findings: Findings) -> Page:
    return Page(render_report(findings))


@pytest.fixture(scope="module")
def hostile_html(findings_of) -> str:
    return render_report(findings_of(HOSTILE, n_trials=4))


def test_the_headline_answers_the_question(page: Page):
    assert "5 novel classes among 890 unlabelled rows" in page.text


@pytest.mark.parametrize(
    ("second", "spread", "said"),
    [
        (0.416, 0.0, "to 100, the chosen one, it gets 98 (index 0.416 against 0.42)."),
        (0.416, 0.0, "That is close: 5 is a good guess"),
        (0.416, 0.0, "with --config.k.n_novel=7"),
        (0.37, 0.06, "start moves the index by more than that difference. That is close"),
        (0.32, 0.06, "it gets 50 (index"),
        (0.32, 0.06, "by less than that difference. That is a clear lead."),
        (0.42, 0.0, "it gets 100 (index 0.42 against 0.42). That is close"),
    ],
)
def test_the_second_best_number_is_named(findings: Findings, second, spread, said):
    ks = findings.k_curve.ks
    index = np.where(ks == 7, second, np.where(ks == 5, 0.42, 0.22))
    curve = dataclasses.replace(findings.k_curve, index=index, spread=np.full(len(ks), spread))
    text = squeeze(Page(render_report(dataclasses.replace(findings, k_curve=curve))).text)
    assert "Second best: 7 classes." in text
    assert said in text
    close = "close" if "a clear lead" not in text else "clearly"
    assert f"Second best: 7, {close} behind." in text


def test_sections_and_figures_belong_together(page: Page):
    shown = [attrs["data-figure"] for _, attrs in page.tags if "data-figure" in attrs]
    assert sorted(shown) == sorted(page.figures)
    assert len(shown) == 9


def test_the_numbers_are_in_it(page: Page, findings: Findings):
    best = findings.trials[findings.best]
    text = squeeze(page.text)
    assert f"{best.score:.1%}" in text
    for name, value in best.hparams.items():
        assert name in text
        assert f"{value:.4g}" in text
    for size in findings.metrics["novel_sizes"]:
        assert str(size) in text
    assert "Scored against the truth" in text
    assert "87.3%" in text
    assert '"max": 20' in text
    assert "3 of 165 trainings diverged" in text
    assert "take turns with candidates 1, 0" in text


def test_the_least_run_has_a_report(least_findings: Findings):
    page = Page(render_report(least_findings))
    assert "1 novel class among 1 unlabelled row" in page.text
    assert "Scored against the truth" not in page.text
    assert "was given in the configuration" in squeeze(page.text)
    assert sorted(page.figures) == ["confidence", "folds", "loss", "map", "profiles", "sizes"]
    assert "None" not in page.text
    assert "nan" not in page.text


def test_nothing_is_loaded_from_anywhere(page: Page):
    for tag, attrs in page.tags:
        assert tag not in {"link", "iframe", "img", "object", "embed", "base"}
        for name in ("src", "href", "srcset", "data", "action"):
            assert name not in attrs, (tag, attrs)
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_hostile_names_stay_text(hostile_html: str):
    page = Page(hostile_html)
    assert len(page.scripts) == 3
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "svg", "a", "b"})
    for name in HOSTILE:
        assert squeeze(name) in squeeze(page.text)
    # Inside figures Plotly would read tags, so there are none but its own line breaks.
    assert "<" not in json.dumps(page.figures).replace("<br>", "").replace("<extra></extra>", "")


FRAME = """<!doctype html>
<iframe src="report.html" style="width: {width}px; height: 900px; border: 0"></iframe>
<script>
const frame = document.querySelector("iframe");
frame.onload = () => {{
  frame.contentWindow.dispatchEvent(new Event("{event}"));
  setTimeout(() => {{
    const page = frame.contentDocument;
    const right = (what) => [...page.querySelectorAll(what)].map(
      (element) => element.getBoundingClientRect().right);
    const found = {{
      room: page.documentElement.clientWidth, page: page.documentElement.scrollWidth,
      plots: right(".plot .main-svg"), tables: right("table"), texts: right("p, h1, h2, h3, li") }};
    document.body.dataset.found = JSON.stringify(found);
  }}, 5000);
}};
</script>"""


def measure(html: str, folder: Path, width: int, event: str = "none") -> dict:
    """Right edges in pixels on a page of that width; a window of its own is never that narrow."""
    (folder / "report.html").write_text(html, encoding="utf-8")
    frame = folder / "frame.html"
    frame.write_text(FRAME.format(width=width, event=event), encoding="utf-8")
    dom, _ = run_browser(frame, "--allow-file-access-from-files", "--dump-dom")
    body = next(attrs for tag, attrs in Page(dom).tags if tag == "body")
    return json.loads(body["data-found"])


@pytest.mark.parametrize("kind", ["usual", "hostile"])
def test_a_phone_need_not_scroll_sideways(kind: str, findings, hostile_html: str, tmp_path: Path):
    html = hostile_html if kind == "hostile" else render_report(findings)
    found = measure(html, tmp_path, 400)
    assert found["page"] == found["room"] <= 400
    assert max(found["plots"] + found["texts"]) <= found["room"]


def test_print_cuts_nothing(findings, tmp_path: Path):
    html = render_report(findings)
    assert html.count("@media print") == 1
    # A page of A4 less its margins.
    found = measure(html.replace("@media print", "@media all"), tmp_path, 718, "beforeprint")
    assert max(found["plots"] + found["texts"] + found["tables"]) <= 718
    run_browser(tmp_path / "report.html", f"--print-to-pdf={tmp_path / 'report.pdf'}")
    pdf = (tmp_path / "report.pdf").read_bytes()
    assert pdf.startswith(b"%PDF")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4


@pytest.mark.parametrize("kind", ["usual", "least", "hostile"])
def test_a_browser_draws_it_without_complaint(
    kind: str, findings, least_findings, hostile_html: str, tmp_path: Path
):
    html = hostile_html if kind == "hostile" else ""
    html = html or render_report(findings if kind == "usual" else least_findings)
    dom, console = browse(html, tmp_path)
    assert console == ""
    drawn = Page(dom)
    plots = [a for _, a in drawn.tags if "data-figure" in a]
    assert plots
    assert all("js-plotly-plot" in a.get("class", "") for a in plots)
    assert sum(a.get("class") == "main-svg" for _, a in drawn.tags) >= len(plots)
    if kind == "hostile":
        assert not [a for t, a in drawn.tags if t in {"img", "a"} or "onload" in a]
        # Names of hidden classes, under the folds, read as they were written.
        assert "</script><" in drawn.text
        assert "<b>bold</b> &" in drawn.text


def test_a_choice_of_methods_is_shown(findings: Findings):
    ranking = (Ranked("pbn", "PBN", (0.9, 0.8)), Ranked("sc", "<b>SC</b>", (0.5, 0.6)))
    page = Page(render_report(dataclasses.replace(findings, ranking=ranking)))
    bars, folds = page.figures["ranking"]["data"]
    assert bars["y"] == ["PBN", "&lt;b&gt;SC&lt;/b&gt;"]
    assert bars["x"] == pytest.approx([0.85, 0.55])
    assert folds["x"] == [0.9, 0.8, 0.5, 0.6]
    assert "Which method" in page.text


def test_a_method_tuned_on_known_classes_shows_its_evaluation(findings: Findings):
    """Its candidates have one score each; on the hidden classes only the winner was tried."""
    trials = tuple(
        dataclasses.replace(t, fold_scores=t.fold_scores[:1], fold_k=t.fold_k[:1])
        for t in findings.trials
    )
    evaluation = dataclasses.replace(findings.trials[3], number=0)
    html = render_report(dataclasses.replace(findings, trials=trials, scored=(evaluation,)))
    page = Page(html)
    assert page.figures["folds"]["data"][1]["y"] == list(evaluation.fold_scores)
    assert "never looks at a label" in page.text


def test_a_method_without_training_and_hyperparameters_has_a_report(findings: Findings):
    trial = dataclasses.replace(findings.trials[0], hparams={})
    page = Page(
        render_report(
            dataclasses.replace(
                findings, trials=(trial,), scored=(trial,), best=0, loss=np.zeros(0)
            )
        )
    )
    assert {"loss", "hparams", "search"}.isdisjoint(page.figures)
    shown = [attrs["data-figure"] for _, attrs in page.tags if "data-figure" in attrs]
    assert sorted(shown) == sorted(page.figures)
    assert "Hyperparameters" not in page.text
