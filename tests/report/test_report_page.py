import dataclasses
import json
import re
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from html_pages import HOSTILE, Page, squeeze, without_figures

from ncd_jax.report import templating
from ncd_jax.report.findings import Findings, Ranked, choose_shown
from ncd_jax.report.how_many import KCurve, NumberStory
from ncd_jax.report.latent_map import LatentMap
from ncd_jax.report.page import render_report
from ncd_jax.report.renaming import rename_page
from ncd_jax.report.templating import pack
from ncd_jax.store.records import Assignments

TEMPLATES = Path(templating.__file__).parent / "templates"
FILES = {"assignments.csv", "trials.csv"}
"""What a page may point to, beside itself."""


@pytest.fixture(scope="module")
def page(findings: Findings) -> Page:
    return Page(render_report(findings))


@pytest.fixture(scope="module")
def hostile_html(findings_of) -> str:
    return render_report(findings_of(HOSTILE, n_trials=4))


def cards(html: str) -> dict[str, tuple[str, str]]:
    """Value and text of every card, by its metric."""
    found = re.findall(
        r'class="card" data-metric="(\w+)"><div class="value">(.*?)</div>.*?<p>(.*?)</p>',
        html,
        re.S,
    )
    return {metric: (value, squeeze(text)) for metric, value, text in found}


def test_the_headline_answers_the_question(page: Page):
    assert "5 novel classes among 890 unlabelled rows" in page.text


def with_index(findings: Findings, seven, five, others, spread, **changes) -> Findings:
    """Findings whose index is that for 7, for the 5 that was chosen, and for other numbers."""
    ks = findings.k_curve.ks
    index = np.where(ks == 7, seven, np.where(ks == 5, five, others))
    spread = np.full(len(ks), spread)
    curve = dataclasses.replace(findings.k_curve, index=index, spread=spread, **changes)
    return dataclasses.replace(findings, k_curve=curve)


@pytest.mark.parametrize(
    ("seven", "spread", "share", "is_close", "is_clear"),
    [
        (0.416, 0.0, 98, True, False),
        (0.37, 0.06, 75, True, False),  # within what another training makes
        (0.32, 0.06, 50, False, True),
        (0.42, 0.0, 100, True, False),
        (0.32, 0.0, 50, False, False),  # measured once: how much is chance, nobody knows
    ],
)
def test_the_second_best_number_is_named(
    findings: Findings, seven, spread, share, is_close, is_clear
):
    changed = with_index(findings, seven, 0.42, 0.22, spread)
    second = changed.k_curve.runner_up
    assert (second.k, second.is_close, second.is_clear) == (7, is_close, is_clear)
    text = squeeze(Page(html := render_report(changed)).text)
    assert f"{seven:.4g} against 0.42" in text
    assert f" {share} (index" in text
    assert ("n_novel=7" in text) == (not is_clear)
    said = cards(html)["n_novel_estimated"][1]
    assert "7" in said
    assert ("close" in said, "clear" in said) == (is_close, is_clear)


def test_on_noise_nothing_is_a_clear_lead(findings: Findings):
    """Five trainings on 19 numbers of classes that are all as good, or as bad."""
    rng, ks = np.random.default_rng(0), findings.k_curve.ks
    for _ in range(200):
        refits = rng.normal(0.1, 0.01, (5, len(ks)))
        index = refits.mean(axis=0)
        chosen = int(ks[index.argmax()])
        curve = KCurve("silhouette", ks, index, refits.std(axis=0), chosen)
        assert not curve.runner_up.is_clear
    text = Page(render_report(dataclasses.replace(findings, k_curve=curve))).text
    assert "clear lead" not in text


def test_a_tolerance_makes_numbers_equal(findings: Findings):
    """Whichever of the two has the better index, the other is no clear loser."""
    clear = with_index(findings, 0.41, 0.42, 0.36, 1e-4).k_curve.runner_up
    assert clear.is_clear
    tied = with_index(findings, 0.41, 0.42, 0.36, 1e-4, tolerance=0.05)
    assert tied.k_curve.runner_up.is_tied
    assert "within the tolerance" in squeeze(Page(render_report(tied)).text)
    ahead = with_index(findings, 0.42, 0.41, 0.32, 1e-4, tolerance=0.05)
    assert ahead.k_curve.runner_up.is_ahead
    html = render_report(ahead)
    assert "ahead" in cards(html)["n_novel_estimated"][1]
    assert "behind by 10 %" in squeeze(Page(html).text)
    assert "Second best" not in html


def test_the_number_of_hidden_classes_is_that_of_all_folds(page: Page, findings: Findings):
    assert "each hid 2 classes" in squeeze(page.text)
    hidden = (*findings.hidden[1:], ("0", "3", "4"))
    text = squeeze(Page(render_report(dataclasses.replace(findings, hidden=hidden))).text)
    assert "each hid 2 to 3 classes" in text


def test_the_first_score_is_the_one_that_nothing_was_selected_on(findings: Findings):
    shown = cards(render_report(findings))
    assert list(shown)[:4] == [
        "n_novel_estimated",
        "hidden_class_accuracy",
        "hidden_class_score",
        "known_accuracy",
    ]
    value, said = shown["hidden_class_accuracy"]
    assert value == "87.4%"
    assert {"85.1%", "93.2%"} <= set(re.findall(r"[\d.]+%", said)), "several hidden, and one"
    assert "optimistic" in shown["hidden_class_score"][1]
    assert "24.0%" in shown["known_accuracy"][1]


def test_a_score_that_nothing_was_selected_on_is_called_that(least_findings: Findings):
    assert "optimistic" not in cards(render_report(least_findings))["hidden_class_score"][1]
    ranking = (Ranked("pbn", "PBN", (0.9,)), Ranked("sc", "SC", (0.5,)))
    chosen = dataclasses.replace(least_findings, ranking=ranking)
    assert "optimistic" in cards(render_report(chosen))["hidden_class_score"][1]


def changed_metrics(findings: Findings, **changes) -> Findings:
    return dataclasses.replace(findings, metrics=findings.metrics | changes)


def test_warnings_come_first(findings: Findings, page: Page):
    said = ["labels are no <b>random sample</b>", "leave it out with --drop=x"]
    warned = changed_metrics(findings, warnings=said)
    html = render_report(warned)
    text = squeeze(Page(html).text)
    places = [text.index(squeeze(each)) for each in said]
    assert places == sorted(places)
    assert places[-1] < text.index("Novel class discovery", places[0]) < text.index("1,797 rows")
    assert ("b", {}) not in Page(html).tags
    assert not [1 for _, attrs in page.tags if attrs.get("class") == "warning"]


def test_one_known_class_is_compared_with_nothing(findings: Findings):
    one = changed_metrics(findings, n_known_classes=1, known_accuracy_by_chance=1.0)
    assert "100" not in cards(render_report(one))["known_accuracy"][1]


def test_no_novel_class_was_not_given(least_findings: Findings):
    none = changed_metrics(least_findings, n_novel_estimated=0, novel_sizes=[], n_rows_known=1)
    value, said = cards(render_report(none))["n_novel_estimated"]
    assert value == "0"
    assert "configuration" not in said


@pytest.mark.parametrize("is_given", [True, False])
def test_a_number_that_was_given_has_no_chance(findings: Findings, is_given):
    story = NumberStory(2, (0.1, 0.9), ("novel_0", "novel_1", 0.2), None, is_given)
    changed = dataclasses.replace(findings, k_curve=None, number=story)
    html = render_report(changed)
    said = cards(html)["n_novel_estimated"][1]
    assert ("configuration" in said, "90.0%" in said) == (is_given, not is_given)
    assert ("number" in Page(html).figures) == (not is_given)
    assert "20.0%" in Page(html).text, "the two classes that were nearly one"


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
    assert "candidates 1, 0" in text


def test_a_test_split_that_is_not_clustered_anew_has_a_report(findings: Findings):
    test = {key: findings.metrics["test"][key] for key in ("inductive", "known_accuracy")}
    text = squeeze(Page(render_report(changed_metrics(findings, test=test))).text)
    assert "novel test rows, assigned one by one" in text
    assert "clustered together" not in text


def test_the_least_run_has_a_report(least_findings: Findings):
    page = Page(render_report(least_findings))
    assert "1 novel class among 1 unlabelled row" in page.text
    assert "Scored against the truth" not in page.text
    assert "configuration" in cards(render_report(least_findings))["n_novel_estimated"][1]
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


EDGES = """() => {
  const right = (what) => [...document.querySelectorAll(what)].map(
    (element) => element.getBoundingClientRect().right);
  const clipped = [...document.querySelectorAll(".plot")].flatMap((plot) => {
    const room = plot.getBoundingClientRect();
    return [...plot.querySelectorAll("text")].filter((text) => {
      const box = text.getBoundingClientRect();
      return box.width && (box.left < room.left - 1 || box.right > room.right + 1
        || box.top < room.top - 1 || box.bottom > room.bottom + 1);
    }).map((text) => text.textContent); });
  return {
    room: document.documentElement.clientWidth, page: document.documentElement.scrollWidth,
    clipped, plots: right(".plot .main-svg"), tables: right("table"),
    texts: right("p, h1, h2, h3, li") };
}"""
"""Right edges in pixels, and texts of figures that leave them."""


def fits_a_phone(seen) -> None:
    """Nobody has to scroll sideways, and no figure is cut, once it is as narrow as that."""
    found = seen.page.evaluate(EDGES)
    assert found["page"] == found["room"] <= 390
    assert max(found["plots"] + found["texts"]) <= found["room"]
    assert found["clipped"] == []


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["usual", "hostile", "renamed", "many"])
def test_a_phone_need_not_scroll_sideways(
    kind: str, findings, many_classes, hostile_html: str, opened
):
    html = hostile_html if kind == "hostile" else render_report(findings)
    if kind == "renamed":  # all alike but for their ends
        html = rename_page(
            html, {f"novel_{i}": f"Customers who came back in {i}" for i in range(5)}
        )
    if kind == "many":
        html = render_report(many_classes(findings))
    with opened(html, width=390) as seen:
        fits_a_phone(seen)


@pytest.fixture(scope="module")
def many_classes():
    """`many_classes(findings, k)` are of so many novel classes, and twelve folds."""

    def make(findings: Findings, k: int = 24) -> Findings:
        rng, n = np.random.default_rng(0), len(findings.latent_map.row)
        label = rng.integers(-1, k, n)
        names = tuple("old" if i < 0 else f"novel_{i}" for i in label)
        picture = LatentMap(findings.latent_map.xy, np.arange(n), names, label >= 0, None)
        trials = tuple(
            dataclasses.replace(
                t,
                fold_scores=tuple(np.resize(t.fold_scores, 12).tolist()),
                fold_k=tuple(np.resize(t.fold_k, 12).tolist()),
            )
            for t in findings.trials
        )
        sizes = {"novel_sizes": np.bincount(label[label >= 0]).tolist(), "n_novel_estimated": k}
        return dataclasses.replace(
            findings,
            latent_map=picture,
            hidden=tuple((f"class number {i}", f"and another {i}") for i in range(12)),
            trials=trials,
            scored=trials,
            metrics=findings.metrics | sizes,
        )

    return make


@pytest.mark.thorough
def test_print_cuts_nothing(findings, tmp_path: Path, opened):
    html = render_report(findings)
    assert html.count("@media print") == 1
    # A page of A4 less its margins.
    with opened(html.replace("@media print", "@media all"), width=718) as seen:
        seen.page.evaluate("dispatchEvent(new Event('beforeprint'))")
        found = seen.page.evaluate(EDGES)
        assert max(found["plots"] + found["texts"] + found["tables"]) <= 718
        pdf = seen.page.pdf(format="A4")
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) >= 4


@pytest.mark.thorough
@pytest.mark.parametrize("kind", ["usual", "least"])
def test_a_browser_draws_it_without_complaint(kind: str, findings, least_findings, opened):
    html = render_report(findings if kind == "usual" else least_findings)
    with opened(html) as seen:
        is_drawn(seen)


def is_drawn(seen) -> Page:
    """Every figure is there, and nobody complained."""
    drawn = seen.now()
    assert seen.said == []
    plots = [a for _, a in drawn.tags if "data-figure" in a]
    assert plots
    assert all("js-plotly-plot" in a.get("class", "") for a in plots)
    assert sum(a.get("class") == "main-svg" for _, a in drawn.tags) >= len(plots)
    return drawn


def test_names_of_strangers_are_text_on_every_screen(findings_of, many_classes, opened):
    """Of known classes, columns and cells, and given to novel classes, of which there are many."""
    html = render_report(many_classes(findings_of(HOSTILE, n_trials=4), 12))
    names = {f"novel_{i}": name for i, name in enumerate(HOSTILE)}
    page = rename_page(html, names)
    assert rename_page(page, {}) == rename_page(html, {})
    assert json.loads(Page(page).scripts[2]) == names
    with opened(page, width=390) as seen:
        fits_a_phone(seen)
        drawn = is_drawn(seen)
    assert not [a for t, a in drawn.tags if t in {"img", "b"} or "onload" in a]
    assert {a["href"] for t, a in drawn.tags if t == "a"} <= FILES
    for old, name in names.items():
        assert not re.search(rf"{old}\b", drawn.text)
        assert name in drawn.text, "the table"
        short = name if len(name) <= 18 else f"{name[:17]}…"
        assert drawn.text.count(short) >= 2, "the bars, the legend of the map"


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


def test_packed_text_comes_back_in_a_browser(opened):
    """Every length, and no sign that HTML reads."""
    text = "é\u2028</script>" + "".join(map(chr, np.random.default_rng(0).integers(32, 9000, 999)))
    for n in range(10, 14):
        packed = pack(text[:-n])
        assert not set(packed.text) & set("<>&\"'/ ")
    html = f"""<!doctype html><p></p>
    <script type="text/plain" id="t" data-bytes="{packed.n_bytes}">{packed.text}</script>
    <script>{(TEMPLATES / "report.js").read_text()}
    unpack("t").then((t) => {{ document.querySelector("p").textContent = t; }});</script>"""
    with opened(html, ready="p:not(:empty)") as seen:
        assert text[:-n] in seen.now().text
        assert seen.said == []


ASK = """
<script>
const tell = () => {
  const set = (id, value, event) => {
    const field = document.getElementById(id);
    field.value = value;
    field.dispatchEvent(new Event(event));
  };
  const cells = () => [...document.querySelectorAll("#rows tbody tr")].map(
    (tr) => [...tr.cells].map((td) => td.textContent));
  const said = () => document.getElementById("rows-count").textContent;
  const found = { titles: [...document.querySelectorAll("#rows th")].map((th) => th.textContent),
    all: said(), first: cells() };
  document.getElementById("rows-more").click();
  found.more = cells().length;
  const titles = [...document.querySelectorAll("#rows th button")];
  found.sorted = [0, 3, 3, 7].map((i) => {
    titles[i].click();
    const order = titles[i].parentNode.getAttribute("aria-sort");
    return [titles[i].textContent, order, cells().map((line) => line[i])];
  });
  titles[0].click();
  const least = document.querySelector("table.sortable");
  const lines = () => [...least.tBodies[0].rows].map(
    (tr) => [...tr.cells].map((td) => td.textContent));
  found.least = lines();
  least.querySelectorAll("button")[0].click();
  found.leastByRow = lines();
  titles[0].click();
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
  for (const event of ["beforeprint", "afterprint"]) {
    dispatchEvent(new Event(event));
    found.folded.push(folded());
  }
  found.hover = plot.data[1].text[0];
  document.body.dataset.found = JSON.stringify(found);
};
const wait = setInterval(() => {
  if (document.body.dataset.ready) { clearInterval(wait); tell(); }
}, 10);
</script>
</body>"""


@pytest.fixture(scope="module")
def asked(findings: Findings, opened) -> dict:
    """What the page answered somebody who looked for rows and chose columns."""
    html = without_figures(render_report(findings)).replace("</body>", ASK)
    with opened(html, ready="body[data-found]") as seen:
        assert seen.said == []
        return json.loads(seen.page.locator("body").get_attribute("data-found"))


def test_rows_are_listed_and_found(asked: dict, findings: Findings):
    own = ["class", "confidence", "runner-up", "its confidence"]
    assert asked["titles"] == ["row", "height", *own, "0", "colour", "born"]
    assert asked["all"] == "890 rows, the first 50 shown"
    assert len(asked["first"]) == 50
    assert asked["more"] == 250
    row, _, label, sure, second, *_ = asked["first"][1]
    assert (int(row), label, second) == (
        findings.assignments.rows[1],
        findings.assignments.labels[1],
        findings.assignments.runners_up[1],
    )
    assert sure == f"{100 * float(f'{findings.assignments.confidence[1]:.3g}'):.1f}%"
    of_class, red = asked["of_class"], asked["red"]
    n_of_class = findings.assignments.labels.count("novel_1")
    assert of_class[0].startswith(f"{n_of_class} rows")
    assert {line[2] for line in of_class[1]} == {"novel_1"}
    assert {(line[7], line[2]) for line in red[1]} == {("red", "novel_1")}
    colours = findings.shown.listed_values["colour"].to_numpy()
    of_one = np.array(findings.assignments.labels) == "novel_1"
    n_red = int((of_one & (colours == "red")).sum())
    assert red[0].startswith(f"{n_red} rows")
    assert asked["nothing"] == ["0 rows", []]


def test_tables_of_rows_can_be_sorted(asked: dict, findings: Findings):
    """By number or by alphabet, the other way round at the second click, gaps last."""
    for (title, order, cells), down in zip(
        asked["sorted"], (False, False, True, False), strict=True
    ):
        assert order == ("descending" if down else "ascending"), title
        if title == "colour":
            words = [cell for cell in cells if cell]
            assert cells == sorted(words, key=str.casefold) + [""] * (len(cells) - len(words))
            continue
        numbers = [float(cell.rstrip("%")) for cell in cells]
        assert numbers == sorted(numbers, reverse=down)
    row = asked["sorted"][0][2]
    assert int(row[0]) == findings.assignments.rows.min(), "all rows, not the shown ones"


def test_the_rows_to_check_first_are_the_least_sure(asked: dict, findings: Findings):
    rows, labels, sure, seconds, second_sure, _ = findings.assignments
    order = np.argsort(sure)[:20]
    assert asked["least"] == [
        [str(rows[i]), labels[i], f"{sure[i]:.1%}", seconds[i], f"{second_sure[i]:.1%}"]
        for i in order
    ]
    by_row = sorted(asked["least"], key=lambda line: int(line[0]))
    assert asked["leastByRow"] == by_row


def test_rows_to_check_have_what_names_them(findings: Findings):
    names = pd.DataFrame({"customer <b>": [f"c{i}" for i in range(890)]})
    named = findings.assignments._replace(copied=names)
    page = Page(render_report(dataclasses.replace(findings, assignments=named)))
    least = np.argsort(findings.assignments.confidence)[:20]
    for i in least:
        assert f"c{i}" in page.text
    assert "customer <b>" in page.text


def test_two_columns_of_choice_are_drawn(asked: dict, findings: Findings):
    assert asked["axes"] == ["height", "0", "linear", "linear"], "words come last"
    assert asked["chosen"] == ["colour", "born", "category", "date"]
    names = ["known classes", *sorted(set(findings.assignments.labels))]
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
    seconds = names[1:] + names[:1]
    assignments = Assignments(np.arange(n), names, sure, seconds, sure / 2, frame[["code"]])
    shown = choose_shown(frame, profiles, points, np.arange(n), assignments)
    assert len(shown.listed) == 2000
    assert {names[i] for i in shown.listed} == set(names)
    drawn = LatentMap(rng.normal(size=(1500, 2)), points, names[:1500], points >= 0, None)
    many = dataclasses.replace(
        findings,
        assignments=assignments,
        shown=shown,
        latent_map=drawn,
    )
    assert len(render_report(many).encode()) < 2 * 1024**2


def test_what_is_folded_is_printed(asked: dict):
    before, printed, after = asked["folded"]
    assert before == after > 2
    assert printed == 0
