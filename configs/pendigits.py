"""Pen-written digits, UCI 81: 7494 x 16 and a test split; known 1 2 4 8 9, novel 0 3 5 6 7.

python launch.py --config=pendigits --workdir=runs/pendigits

Measured with 0.3.0 on two idle CPU cores: 4 novel classes (a chance of 26 % that this
is right), accuracy on hidden classes 78.0 %, mean confidence 73 %, against the truth 78.0 %;
9 seconds, 4.4 where the programs are compiled already. Seeds 1 to 4 find 7, 5, 6 and 6
classes (a chance of 10 to 14 %), 89 to 90 % of the rows right. PBN with the silhouette had 86.5 %
in 4 minutes (measured with 0.1.0).
"""

import ml_collections

from ncd_jax.config import default_config


def get_config() -> ml_collections.ConfigDict:
    config = default_config()
    config.dataset = "pendigits"
    return config
