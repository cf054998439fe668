import numpy as np
import pytest

from ncd_jax.report import latent_map as of_latents
from ncd_jax.report.latent_map import latent_map


def draw(z: np.ndarray, n_novel: int | None = None, **options):
    n = len(z)
    is_novel = np.arange(n) < (n // 2 if n_novel is None else n_novel)
    labels = [f"label {i}" for i in range(n)]
    truth = [f"truth {i}" for i in range(n)]
    return latent_map(z, 10 * np.arange(n), labels, is_novel, truth, seed=0, **options)


def test_points_carry_what_belongs_to_their_row():
    picture = draw(np.random.default_rng(0).normal(size=(60, 5)), max_points=40)
    assert picture.xy.shape == (40, 2)
    assert np.all(np.diff(picture.row) > 0)
    index = picture.row // 10
    assert picture.label == tuple(f"label {i}" for i in index)
    assert picture.truth == tuple(f"truth {i}" for i in index)
    np.testing.assert_array_equal(picture.is_novel, index < 30)


@pytest.mark.parametrize(
    ("n_novel", "shown_novel"), [(0, 0), (5, 5), (50, 20), (95, 25), (100, 30)]
)
def test_unlabelled_rows_keep_two_thirds_where_both_are_many(
    n_novel: int, shown_novel: int, monkeypatch
):
    monkeypatch.setattr(of_latents, "_embed", lambda points: points[:, :2])
    picture = draw(np.random.default_rng(0).normal(size=(100, 3)), n_novel, max_points=30)
    assert len(picture.row) == 30
    assert picture.is_novel.sum() == shown_novel


def test_islands_stay_apart_and_the_seed_decides():
    rng = np.random.default_rng(0)
    z = np.repeat([[0.0] * 6, [50.0] * 6], 30, axis=0) + rng.normal(size=(60, 6))
    picture, again = draw(z), draw(z)
    np.testing.assert_array_equal(picture.xy, again.xy)
    left, right = picture.xy[:30], picture.xy[30:]
    between = np.linalg.norm(left.mean(0) - right.mean(0))
    assert between > 2 * np.linalg.norm(left - left.mean(0), axis=1).mean()


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9])
@pytest.mark.parametrize("n_columns", [1, 2, 7])
def test_few_rows(n: int, n_columns: int):
    picture = draw(np.random.default_rng(0).normal(size=(n, n_columns)))
    assert picture.xy.shape == (n, 2)
    assert np.isfinite(picture.xy).all()


@pytest.mark.parametrize(
    "z",
    [
        np.ones((40, 4)),
        np.repeat(np.eye(4), 10, axis=0),
        np.full((40, 4), np.nan),
        np.arange(40.0)[:, None],
        np.concatenate([np.zeros((30, 3)), np.random.default_rng(0).normal(size=(10, 3))]),
    ],
    ids=["constant", "four distinct", "nan", "one column", "mostly one point"],
)
def test_latents_without_much_in_them(z: np.ndarray):
    picture = draw(z)
    assert picture.xy.shape == (40, 2)
    assert np.isfinite(picture.xy).all()


def test_without_truth():
    picture = latent_map(
        np.eye(3), np.arange(3), ["a", "b", "c"], np.array([True, False, True]), None, seed=0
    )
    assert picture.truth is None
