"""Times of day and angles: what begins again is a place on a circle."""

import numpy as np
import pandas as pd
import pytest
from encoded_rows import read_rows

from ncd_jax.data.own_table import read_table
from ncd_jax.errors import UserError
from ncd_jax.profiles.coded_columns import code_columns
from ncd_jax.read.options import ReadOptions

LABELS = ["a", "b", None, None] * 20


def clock(minutes, form="{:02}:{:02}"):
    return [form.format(m // 60 % 24, m % 60) for m in minutes]


def table_of(cells, name="start", **options):
    v = np.random.default_rng(0).normal(size=len(cells)).round(2)
    frame = pd.DataFrame({name: cells, "v": v, "kind": LABELS})
    return read_table(frame, "kind", options=ReadOptions(**options))


@pytest.mark.parametrize("form", ["{:02}:{:02}", "{}:{:02}", "{:02}:{:02}:30", "{:02}:{:02} Uhr"])
def test_times_of_day_are_on_a_circle(form):
    minutes = np.random.default_rng(1).integers(0, 1440, 80)
    table = table_of(clock(minutes, form))
    assert table.columns[:2] == ("start:sin", "start:cos")
    x = table.x[:, :2].astype(float)
    assert x.var(axis=0).sum() == pytest.approx(1, abs=1e-3)
    turn = 2 * np.pi * (minutes + (30 / 60 if ":30" in form else 0)) / 1440
    circle = np.stack([np.sin(turn), np.cos(turn)], axis=1)
    circle -= circle.mean(axis=0)
    np.testing.assert_allclose(x, circle / np.sqrt(circle.var(axis=0).sum()), atol=1e-4)
    near, far = table.encoder.apply(pd.DataFrame({"start": ["23:50", "12:00"], "v": [0, 0]}))[:, :2]
    midnight = table.encoder.apply(pd.DataFrame({"start": ["00:10"], "v": [0]}))[0, :2]
    assert np.linalg.norm(near - midnight) < 0.2 < 1 < np.linalg.norm(far - midnight)


def test_times_with_am_and_pm_and_from_excel_are_the_same(tmp_path):
    minutes = np.random.default_rng(1).integers(0, 1440, 80)
    wanted = table_of(clock(minutes)).x
    half = [pd.Timestamp(60 * m, unit="s").strftime("%I:%M %p") for m in minutes]
    np.testing.assert_array_equal(table_of(half).x, wanted)
    times = [pd.Timestamp(60 * m, unit="s").time() for m in minutes]
    np.testing.assert_array_equal(table_of(times).x, wanted)


def test_how_long_something_took_is_a_number_of_seconds():
    minutes = np.random.default_rng(1).integers(0, 1440, 80)
    assert table_of(clock(minutes), "duration").columns[0] == "duration"
    assert table_of([*clock(minutes)[:-1], "30:15"]).columns[0] == "start"
    frame = table_of(clock(minutes), "lap_length").frame
    np.testing.assert_array_equal(frame["lap_length"], 60 * minutes)


def test_gaps_get_the_mean_time_which_may_be_midnight():
    cells = clock([1430, 10, 1420, 20] * 20)
    table = table_of([*cells[:-1], None])
    assert table.columns[:4] == ("start:sin", "start:cos", "start=(given)", "start=(missing)")
    place = table.encoder.apply(pd.DataFrame({"start": ["00:00", None], "v": [0, 0]}))
    np.testing.assert_allclose(place[1, :2], place[0, :2], atol=0.1)


def test_profiles_show_times_and_midnight_lies_within_a_class():
    rng = np.random.default_rng(0)
    minutes = np.concatenate([rng.integers(-60, 60, 40) % 1440, rng.integers(540, 600, 40)])
    frame = table_of(clock(minutes)).frame
    (column,) = (c for c in code_columns(frame) if c.name == "start")
    texts = [column.text(code) for code in range(len(column.values))]
    assert all(len(text) == 8 and text[2] == ":" for text in texts)
    assert column.is_number
    night = column.codes[:40]
    assert night.max() < column.codes[40:].min() or night.min() > column.codes[40:].max()


@pytest.mark.parametrize("cells", [np.arange(80) * 4.5, [f"{v:.1f}" for v in np.arange(80) * 4.5]])
def test_angles_are_on_a_circle_where_somebody_says_so(cells):
    table = table_of(cells, "direction", circular=["direction:360"])
    assert table.columns[:2] == ("direction:sin", "direction:cos")
    assert table.notes == ()
    places = table.encoder.apply(pd.DataFrame({"direction": [359.0, 361.0, 1.0], "v": [0, 0, 0]}))
    np.testing.assert_array_equal(places[1], places[2])
    assert np.linalg.norm(places[0] - places[1]) < 0.1


@pytest.mark.parametrize(
    ("name", "high", "hinted"),
    [
        *(("wind_dir", 360, True), ("Heading", 359, True), ("angle_deg", 355, True)),
        *(("hour", 23, True), ("Stunde", 24, True), ("grade", 360, False)),
        *(("degree", 90, False), ("price", 360, False), ("hours_worked", 60, False)),
        *(("direct", 360, False), ("bearing", 300, False)),
    ],
)
def test_columns_that_look_circular_are_told_of(name, high, hinted):
    cells = np.random.default_rng(0).permutation(np.linspace(0, high, 80).round(1))
    notes = table_of(cells, name).notes
    assert len(notes) == hinted
    if hinted:
        assert f"--circular={name}:{24 if high <= 24 else 360}" in notes[0]
        assert "circular" in notes[0]


@pytest.mark.parametrize("wish", ["direction", "direction:", ":360", "direction:-1", "direction:x"])
def test_periods_are_checked(wish):
    with pytest.raises(UserError, match="write --circular="):
        table_of(np.arange(80.0), "direction", circular=[wish])


def test_words_do_not_turn():
    with pytest.raises(
        UserError, match=r"80 cells that are not numbers, and hardly one.* say"
    ) as e:
        table_of(["n", "e", "s", "w"] * 20, "direction", circular=["direction:360"])
    assert len(str(e.value)) < 200


def test_new_rows_are_read_alike(tmp_path):
    minutes = np.random.default_rng(1).integers(0, 1440, 80)
    table = table_of(clock(minutes))
    table.frame.assign(start=clock(minutes)).to_csv(tmp_path / "new.csv", index=False)
    np.testing.assert_array_equal(read_rows(tmp_path / "new.csv", table.encoder).x, table.x)
