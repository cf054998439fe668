import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from html_pages import HOSTILE, Page, browse, run_browser, squeeze

from ncd_jax.report import templating
from ncd_jax.report.embedded import pack
from ncd_jax.report.findings import Findings, KCurve, LatentMap, Ranked
from ncd_jax.report.page import render_report
from ncd_jax.report.shown import choose_shown

TEMPLATES = Path(templating.__file__).parent / "templates"
FILES = {"assignments.csv", "trials.csv"}
"""What a page may point to, beside itself."""


@pytest.fixture(scope="module")
def page(findings: Findings) -> Page:
    return Page(render_report(findings))


@pytest.fixture(scope="module")
def hostile_html(findings_of) -> str:
    return render_report(findings_of(HOSTILE, n_trials=4))


def test_the_headline_answers_the_question(page: Page):
    assert "5 novel classes among 890 unlabelled rows" in page.text


def page_of_curve(findings: Findings, **changes) -> str:
    curve = dataclasses.replace(findings.k_curve, **changes)
    return squeeze(Page(render_report(dataclasses.replace(findings, k_curve=curve))).text)


@pytest.mark.parametrize(
    ("second", "spread", "verdict", "said"),
    [
        (0.416, 0.0, "close ", "to 100, the chosen one, it gets 98 (index 0.416 against 0.42)."),
        (0.416, 0.0, "close ", "That is close: 5 is a good guess"),
        (0.416, 0.0, "close ", "with --config.k.n_novel=7"),
        (0.37, 0.06, "close ", "moves the difference by more than its size. That is close"),
        (0.32, 0.06, "clearly ", "it gets 50 (index"),
        (0.32, 0.06, "clearly ", "the difference by less than its size. That is a clear lead."),
        (0.42, 0.0, "close ", "it gets 100 (index 0.42 against 0.42). That is close"),
        # One curve alone: how much of the lead is chance, nobody knows.
        (0.32, 0.0, "", "it gets 50 (index 0.32 against 0.42). The index was measured once"),
    ],
)
def test_the_second_best_number_is_named(findings: Findings, second, spread, verdict, said):
    ks = findings.k_curve.ks
    index = np.where(ks == 7, second, np.where(ks == 5, 0.42, 0.22))
    text = page_of_curve(findings, index=index, spread=np.full(len(ks), spread))
    assert "Second best: 7 classes." in text
    assert said in text
    assert f"Second best: 7, {verdict}behind." in text
    assert ("a clear lead" in text) == (verdict == "clearly ")


def test_on_noise_nothing_is_a_clear_lead(findings: Findings):
    """Five trainings on 19 numbers of classes that are all as good, or as bad."""
    rng, ks = np.random.default_rng(0), findings.k_curve.ks
    for _ in range(200):
        refits = rng.normal(0.1, 0.01, (5, len(ks)))
        index = refits.mean(axis=0)
        chosen = int(ks[index.argmax()])
        curve = KCurve("silhouette", ks, index, refits.std(axis=0), chosen)
        assert not curve.runner_up.is_clear
    text = page_of_curve(findings, index=index, spread=refits.std(axis=0), chosen=chosen)
    assert "a clear lead" not in text
    assert "clearly behind" not in text


def test_a_runner_up_within_the_tolerance_is_no_clear_loser(findings: Findings):
    ks = findings.k_curve.ks
    index = np.where(ks == 7, 0.41, np.where(ks == 5, 0.42, 0.36))
    changes = {"index": index, "spread": np.full(len(ks), 1e-4)}
    assert "a clear lead" in page_of_curve(findings, **changes)
    text = page_of_curve(findings, **changes, tolerance=0.05)
    assert "(index 0.41 against 0.42), which is within the tolerance." in text
    assert "That is close: 5 is a good guess" in text
    assert "Second best: 7, close behind." in text


def test_a_smaller_number_within_the_tolerance_is_not_called_the_best(findings: Findings):
    ks = findings.k_curve.ks
    index = np.where(ks == 7, 0.42, np.where(ks == 5, 0.41, 0.32))
    changes = {"index": index, "spread": np.full(len(ks), 1e-4), "tolerance": 0.05}
    text = page_of_curve(findings, **changes)
    assert "By the index alone: 7, close ahead." in text
    assert "Best by the index alone: 7 classes." in text
    assert "behind by 10 % of the way from the worst number tried to the best" in text
    assert "(index 0.41 against 0.42), which is within the tolerance." in text
    assert "That is close: 5 is a good guess" in text
    for wrong in ("Second best", "clear lead", "chosen one, it gets"):
        assert wrong not in text


def test_the_number_of_hidden_classes_is_that_of_all_folds(page: Page, findings: Findings):
    assert "each hid 2 classes" in squeeze(page.text)
    hidden = (*findings.hidden[1:], ("0", "3", "4"))
    text = squeeze(Page(render_report(dataclasses.replace(findings, hidden=hidden))).text)
    assert "each hid 2 to 3 classes" in text


def test_the_first_score_is_the_one_that_nothing_was_selected_on(page: Page, findings: Findings):
    text = squeeze(page.text)
    evaluated = text.index("87.4%accuracy on hidden classes")
    selected = text.index(f"{findings.metrics['hidden_class_score']:.1%}hidden-class score")
    assert evaluated < selected < text.index("Classes are numbered")
    assert "The best of 32 candidates, selected on it" in text
    assert "gives their class, all known classes present" in text


def test_a_score_that_nothing_was_selected_on_is_called_that(least_findings: Findings):
    text = squeeze(Page(render_report(least_findings)).text)
    assert "Nothing was selected on it." in text
    assert "optimistic" not in text
    ranking = (Ranked("pbn", "PBN", (0.9,)), Ranked("sc", "SC", (0.5,)))
    page = Page(render_report(dataclasses.replace(least_findings, ranking=ranking)))
    assert "The best of 1 candidate of each of 2 methods, selected on it" in squeeze(page.text)


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
    assert "shared among candidates 1, 0" in text


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
            own = (tag, name) == ("a", "href") and attrs.get(name) in FILES
            assert own or name not in attrs, (tag, attrs)
    policy = next(a["content"] for t, a in page.tags if a.get("http-equiv"))
    assert "default-src 'none'" in policy
    assert "http" not in policy


def test_hostile_names_stay_text(hostile_html: str):
    page = Page(hostile_html)
    assert len(page.scripts) == 5
    assert {tag for tag, _ in page.tags}.isdisjoint({"img", "svg", "b"})
    assert {attrs["href"] for tag, attrs in page.tags if tag == "a"} <= FILES
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
    kind: str, request, least_findings, hostile_html: str, tmp_path: Path
):
    if kind == "usual":
        drawn = request.getfixturevalue("browsed")
    else:
        html = hostile_html if kind == "hostile" else render_report(least_findings)
        dom, console = browse(html, tmp_path)
        assert console == ""
        drawn = Page(dom)
    plots = [a for _, a in drawn.tags if "data-figure" in a]
    assert plots
    assert all("js-plotly-plot" in a.get("class", "") for a in plots)
    assert sum(a.get("class") == "main-svg" for _, a in drawn.tags) >= len(plots)
    if kind == "hostile":
        assert not [a for t, a in drawn.tags if t == "img" or "onload" in a]
        assert {a["href"] for t, a in drawn.tags if t == "a"} <= FILES
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


def test_what_interests_few_is_folded(page: Page):
    folded = [attrs for tag, attrs in page.tags if tag == "details" and "section" in str(attrs)]
    assert len(folded) == 2
    assert not [attrs for attrs in folded if "open" in attrs]


@pytest.mark.parametrize(
    ("note", "said"),
    [
        ("column 'id' left out: it names rows; --columns takes it, --id keeps it", "it names rows"),
        ("2 cells are odd: a; mend them, name such words with --missing, or say --drop=x", "them"),
        ("column 'a--b' has no gap", "no gap"),
    ],
)
def test_notes_go_without_flags_where_there_is_no_command_line(findings, note, said):
    noted = dataclasses.replace(findings, metrics=findings.metrics | {"notes": [note]})
    text = Page(render_report(noted, files=False)).text
    assert f"{said}\n" in text
    assert note in Page(render_report(noted)).text


def test_packed_text_comes_back_in_a_browser(tmp_path: Path):
    """Every length, and no sign that HTML reads."""
    text = "é\u2028</script>" + "".join(map(chr, np.random.default_rng(0).integers(32, 9000, 999)))
    for n in range(10, 14):
        packed = pack(text[:-n])
        assert not set(packed) & set("<>&\"'/ ")
    html = f"""<!doctype html><p></p>
    <script type="text/plain" id="t" data-bytes="{packed.n_bytes}">{packed}</script>
    <script>{(TEMPLATES / "report.js").read_text()}
    unpack("t").then((t) => {{ document.querySelector("p").textContent = t; }});</script>"""
    dom, console = browse(html, tmp_path)
    assert console == ""
    assert text[:-n] in Page(dom).text


ASK = """
<script>
const tell = () => {{
  const set = (id, value, event) => {{
    const field = document.getElementById(id);
    field.value = value;
    field.dispatchEvent(new Event(event));
  }};
  const cells = () => [...document.querySelectorAll("#rows tbody tr")].map(
    (tr) => [...tr.cells].map((td) => td.textContent));
  const said = () => document.getElementById("rows-count").textContent;
  const found = {{ titles: [...document.querySelectorAll("#rows th")].map((th) => th.textContent),
    all: said(), first: cells() }};
  document.getElementById("rows-more").click();
  found.more = cells().length;
  set("rows-class", "1", "change");
  found.of_class = [said(), cells()];
  set("rows-search", "RED", "input");
  found.red = [said(), cells()];
  set("rows-search", "no such cell", "input");
  found.nothing = [said(), cells()];
  const plot = document.getElementById("scatter");
  const axes = () => [plot.layout.xaxis.title.text, plot.layout.yaxis.title.text,
    plot.layout.xaxis.type, plot.layout.yaxis.type];
  found.axes = axes();
  set("scatter-x", "2", "change");
  set("scatter-y", "3", "change");
  found.chosen = axes();
  found.traces = plot.data.map((trace) => [trace.name, trace.x.length, trace.y.length]);
  const folded = () => document.querySelectorAll("details:not([open])").length;
  found.folded = [folded()];
  for (const event of ["beforeprint", "afterprint"]) {{
    dispatchEvent(new Event(event));
    found.folded.push(folded());
  }}
  found.hover = plot.data[1].text[0];
  document.body.dataset.found = JSON.stringify(found);
}};
const wait = setInterval(() => {{
  if (document.body.dataset.ready) {{ clearInterval(wait); tell(); }}
}}, 50);
</script>
</body>"""


@pytest.fixture(scope="module")
def browsed(findings: Findings, tmp_path_factory) -> Page:
    """The page after somebody looked for rows and chose columns."""
    html = render_report(findings).replace("</body>", ASK.format())
    dom, console = browse(html, tmp_path_factory.mktemp("asked"))
    assert console == ""
    return Page(dom)


@pytest.fixture(scope="module")
def asked(browsed: Page) -> dict:
    """What the page answered him."""
    body = next(attrs for tag, attrs in browsed.tags if tag == "body")
    return json.loads(body["data-found"])


def test_rows_are_listed_and_found(asked: dict, findings: Findings):
    own = ["class", "confidence", "runner-up", "its confidence"]
    assert asked["titles"] == ["row", "height", *own, "0", "colour", "born"]
    assert asked["all"] == "890 rows, the first 50 shown"
    assert len(asked["first"]) == 50
    assert asked["more"] == 250
    row, _, label, sure, second, *_ = asked["first"][1]
    assert (int(row), label, second) == (
        findings.rows[1],
        findings.names[1],
        findings.runners_up[1],
    )
    assert sure == f"{100 * float(f'{findings.confidence[1]:.3g}'):.1f}%"
    of_class, red = asked["of_class"], asked["red"]
    n_of_class = int((findings.labels == 1).sum())
    assert of_class[0].startswith(f"{n_of_class} rows")
    assert {line[2] for line in of_class[1]} == {"novel_1"}
    assert {(line[7], line[2]) for line in red[1]} == {("red", "novel_1")}
    colours = findings.shown.listed_values["colour"].to_numpy()
    assert red[0].startswith(f"{int(((findings.labels == 1) & (colours == 'red')).sum())} rows")
    assert asked["nothing"] == ["0 rows", []]


def test_two_columns_of_choice_are_drawn(asked: dict, findings: Findings):
    assert asked["axes"] == ["height", "0", "linear", "linear"], "words come last"
    assert asked["chosen"] == ["colour", "born", "category", "date"]
    names = ["known classes", *sorted(set(findings.names))]
    assert [name for name, *_ in asked["traces"]] == names
    assert sum(n for _, n, _ in asked["traces"]) == len(findings.latent_map.row)
    assert "<br>height: " in asked["hover"]


def test_a_long_table_has_a_page_of_two_megabytes(findings: Findings):
    """10,000 unlabelled rows in 30 columns, and a map of as many points as it may have."""
    rng = np.random.default_rng(0)
    n, names = 10_000, tuple(f"novel_{i}" for i in rng.integers(0, 12, 10_000))
    frame = pd.DataFrame(rng.normal(size=(n, 28))).add_prefix("column ")
    frame["word"] = rng.choice(["red", "green", "blue"], n)
    frame["code"] = [f"C{i:08}" for i in rng.integers(0, 10**8, n)]
    points, sure = np.arange(1500), rng.random(n)
    profiles = findings.profiles
    shown = choose_shown(frame, profiles, points, np.arange(n), names, frame[["code"]])
    assert len(shown.listed) == 2000
    assert {names[i] for i in shown.listed} == set(names)
    drawn = LatentMap(rng.normal(size=(1500, 2)), points, names[:1500], points >= 0, None)
    many = dataclasses.replace(
        findings,
        rows=np.arange(n),
        labels=np.array([int(name[6:]) for name in names]),
        names=names,
        confidence=sure,
        runners_up=names[1:] + names[:1],
        runner_up_confidence=sure / 2,
        shown=shown,
        latent_map=drawn,
    )
    assert len(render_report(many).encode()) < 2 * 1024**2


def test_what_is_folded_is_printed(asked: dict):
    before, printed, after = asked["folded"]
    assert before == after > 2
    assert printed == 0
