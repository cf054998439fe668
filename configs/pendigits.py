"""Pen-written digits, UCI 81: 7494 x 16 and a test split; known 1 2 4 8 9, novel 0 3 5 6 7.

python launch.py --config=pendigits --workdir=runs/pendigits

Measured with 0.3.0 on two CPU cores beside other work: 5 novel classes (a chance of 11 % that this
is right), accuracy on hidden classes 77.3 %, mean confidence 66 %, against the truth 90.3 %;
22 seconds where the programs are compiled already. PBN with the silhouette had 86.5 % in 4 minutes
(measured with 0.1.0).
"""

import ml_collections

from ncd_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config()
    config.dataset = "pendigits"
    return config
