"""Scanned digits, UCI 80: 3823 x 62 and a test split; known 1 2 7 8 9, novel 0 3 4 5 6.

python launch.py --config=optdigits --workdir=runs/optdigits

Measured with 0.3.0 on two idle CPU cores: 6 novel classes (a chance of 14 % that this
is right), accuracy on hidden classes 87.7 %, mean confidence 63 %, against the truth 97.0 %;
9 seconds, 4.5 where the programs are compiled already.
"""

import ml_collections

from ncd_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config()
    config.dataset = "optdigits"
    return config
