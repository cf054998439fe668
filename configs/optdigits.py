"""Scanned digits, UCI 80: 3823 x 62 and a test split; known 1 2 7 8 9, novel 0 3 4 5 6.

python launch.py --config=optdigits --workdir=runs/optdigits

Measured with 0.3.0 on two CPU cores beside other work: 5 novel classes (a chance of 22 % that this
is right), accuracy on hidden classes 88.1 %, mean confidence 63 %, against the truth 99.3 %;
25 seconds where the programs are compiled already.
"""

import ml_collections

from ncd_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config()
    config.dataset = "optdigits"
    return config
