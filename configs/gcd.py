"""Unlabelled rows of known classes too: half of each known class has no label.

python launch.py --mode=benchmark --config=gcd

Measured with 0.2.0 on two CPU cores beside other work, 27 minutes: RCA 83.7 % of all rows right
(old 90.2, new 79.3), semi-supervised k-means 61.1, k-means of all unlabelled rows 52.1.

RCA with the gate and the judge, next to what users would otherwise pick; the scores are of all
unlabelled rows, of those of known (old) and of novel (new) classes, with one matching for all.
"""

import ml_collections

from ncd_jax.reproduce.baselines import GCD_BASELINES
from ncd_jax.reproduce.plan import benchmark_config


def get_config() -> ml_collections.ConfigDict:
    config = benchmark_config()
    config.setting = "gcd"
    config.k.index = "judge"
    config.methods = ",".join(["rca", *GCD_BASELINES])
    config.datasets = "digits,optdigits,pendigits,letter,mfeat,cnae9"
    config.k_settings = "unknown"
    config.seeds = 3
    return config
