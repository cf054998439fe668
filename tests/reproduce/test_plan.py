import math

import pytest

from ncd_jax.config import default_config
from ncd_jax.data.datasets import DATASETS
from ncd_jax.errors import UserError
from ncd_jax.reproduce.plan import (
    Cell,
    benchmark_config,
    cell_config,
    parse_benchmark,
    plan,
    published,
)


def parsed(**changes):
    config = benchmark_config()
    config.update(changes)
    return parse_benchmark(config)


def test_cells_are_all_combinations():
    config = parsed(datasets="letter, pendigits", methods="kmeans,pbn", seeds=3)
    cells = plan(config)
    assert len(cells) == len(set(cells)) == 2 * 2 * 2
    assert cells[0] == Cell("letter", "kmeans", k_known=False, hyperparameters="tuned")
    assert len({cell.file for cell in cells}) == len(cells)


def test_by_default_everything_is_compared():
    config = parsed()
    assert config.datasets == tuple(DATASETS)
    assert {"pbn", "kmeans", "ncd_sc", "sklearn_kmeans", "lda_kmeans"} <= set(config.methods)
    assert not any("/" in name for name in config.methods)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"datasets": "iris"}, "pendigits"),
        ({"methods": "pbn,pbm"}, "'pbm'"),
        ({"hyperparameters": "guessed"}, "published"),
        ({"seeds": 0}, "1..1000"),
        ({"k_settings": "maybe"}, "known"),
    ],
)
def test_mistakes_are_named(changes, said):
    with pytest.raises(UserError, match=said):
        parsed(**changes)


def test_a_configuration_of_a_run_is_none_of_a_benchmark():
    with pytest.raises(UserError, match="--config=benchmark"):
        parse_benchmark(default_config())


def test_published_values_are_in_our_definitions():
    assert published("pbn", "pendigits", k_known=True)["latent_dim"] == 11
    assert published("ncd_sc", "letter", k_known=True)["min_dist"] == pytest.approx(
        math.sqrt(0.9855)
    )
    assert published("cr_kd", "letter", k_known=True) == {}
    assert "n_novel" not in published("tabular_ncd", "letter", k_known=False)


def test_published_cells_are_those_that_can_be():
    """Methods without hyperparameters need none; of the others the authors tuned some tables."""
    cells = plan(parsed(datasets="pendigits,digits", hyperparameters="published"))
    assert {cell.method for cell in cells if cell.dataset == "pendigits"} >= {"pbn", "kmeans"}
    assert "pbn" not in {cell.method for cell in cells if cell.dataset == "digits"}
    assert "cr_kd" not in {cell.method for cell in cells}
    config = cell_config(parsed(), Cell("letter", "pbn", True, "published"))
    assert config.hparams["latent_dim"] == 13
    assert (config.method, config.dataset) == ("pbn", "letter")


def test_a_variant_is_part_of_the_name():
    config = parsed(datasets="letter", methods="ncd_kmeans,ncd_kmeans/novel_unlabelled_plain")
    first, second = (cell_config(config, cell) for cell in plan(config)[::2])
    assert (first.method, first.variant) == ("ncd_kmeans", "")
    assert (second.method, second.variant) == ("ncd_kmeans", "novel_unlabelled_plain")


def test_budgets_are_of_tables_and_methods():
    budgets = {
        "letter": {"search": {"folds": 2}, "train": {"refits": 1}},
        "pbn": {"train": {"refits": 4}},
    }
    config = parsed(budgets=budgets)

    def of(dataset, method):
        run = cell_config(config, Cell(dataset, method, True, "tuned"))
        return run.search.folds, run.train.refits

    assert of("letter", "baseline") == (2, 1)
    assert of("letter", "pbn") == (2, 4), "the method's counts"
    assert of("letter", "sklearn_kmeans") == (2, 1)
    assert of("mfeat", "kmeans") == (config.run.search.folds, config.run.train.refits)


@pytest.mark.parametrize(
    ("budgets", "said"),
    [
        ({"iris": {"train": {"refits": 1}}}, "'iris' is unknown"),
        ({"pbn": {"train": {"refit": 1}}}, "did you mean train.refits"),
        ({"pbn": {"train": {"refits": 0}}}, "too small"),
        ({"pbn": {"epochs": 5}}, "groups of keys"),
    ],
)
def test_mistakes_in_budgets_are_named(budgets, said):
    with pytest.raises(UserError, match=said):
        parsed(budgets=budgets)


def test_a_fixed_hyperparameter_comes_before_a_published_one():
    config = parsed(hparams={"latent_dim": 5})
    assert cell_config(config, Cell("letter", "pbn", True, "published")).hparams["latent_dim"] == 5
    assert cell_config(config, Cell("letter", "kmeans", True, "tuned")).hparams == {}
