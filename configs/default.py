"""The table that scikit-learn embeds: 1797 digits, 64 pixels; 1 2 7 8 9 known, five to find.

python launch.py

Expect 5 novel classes, @@.
"""

import ml_collections

from ncd_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config()
    config.dataset = "digits"
    return config
