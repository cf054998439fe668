"""What a configuration refuses."""

import pytest

from ncd_jax.clustering.n_clusters import INDEX_SIGNS
from ncd_jax.config import default_config, parse
from ncd_jax.errors import UserError


def test_an_unknown_index_is_refused_in_one_line_that_lists_the_choices():
    config = default_config()
    config.k.index = "silhuette"
    with pytest.raises(UserError) as error:
        parse(config)
    message = str(error.value)
    assert "config.k.index='silhuette'" in message
    assert all(name in message for name in INDEX_SIGNS)
    assert "\n" not in message


@pytest.mark.parametrize("index", INDEX_SIGNS)
def test_every_index_can_be_chosen(index):
    config = default_config()
    config.k.index = index
    assert parse(config).k.index == index
