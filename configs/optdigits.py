"""scikit-learn's embedded digits: 1797 x 64, known classes 1 2 7 8 9, five to be found."""

import ml_collections

from ncd_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config()
    config.dataset = "optdigits"
    return config
