"""Layers that sweeps need: their knobs may be traced values.

Flax's own dropout takes its rate as a Python number, so every rate would be a new
compilation, and its initialisers derive the fan-in from the array, which is wrong where part
of the input is masked away.
"""

from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["Dropout", "Perceptron", "dense"]


def dense(width: int, fan_in: Array | float) -> nn.Dense:
    """A linear layer with weights and bias uniform in `±1/sqrt(fan_in)`.

    That is PyTorch's default for linear layers, which the reference results were made with.
    `fan_in` may be traced.
    """

    def init(key: Array, shape: tuple[int, ...], dtype: Any = jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -1.0, 1.0) / jnp.sqrt(fan_in)

    return nn.Dense(width, kernel_init=init, bias_init=init)


class Dropout(nn.Module):
    """Inverted dropout with a traced rate.

    Sixteen random bits decide about a value: half the generator's work, and a rate that is
    off by at most 2^-16. The draw does not depend on the rate, so under `vmap` over rates it
    is made once and all lanes see the same noise: common random numbers.
    """

    @nn.compact
    def __call__(self, h: Array, rate: Array, *, train: bool) -> Array:
        """Zeroes a share `rate` of `f32[n, width]` and scales up the rest."""
        if not train:
            return h
        bits = jax.random.bits(self.make_rng("dropout"), h.shape, jnp.uint16)
        keep = bits.astype(jnp.float32) >= rate * 2**16
        return jnp.where(keep, h / (1.0 - rate), 0.0)


class Perceptron(nn.Module):
    """Linear layers with ReLU, BatchNorm and dropout between them; the last is bare.

    Attributes:
        widths: output widths of the layers.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array, fan_in: Array | float, rate: Array, *, train: bool) -> Array:
        """Maps `f32[n, d]` to `f32[n, widths[-1]]`.

        Args:
            h: input.
            fan_in: columns of `h` that are not masked away.
            rate: dropout rate.
            train: whether batch statistics and dropout are those of training.
        """
        *hidden, last = self.widths
        for width in hidden:
            h = nn.relu(dense(width, fan_in)(h))
            h = nn.BatchNorm(use_running_average=not train, momentum=0.9)(h)
            h = Dropout()(h, rate, train=train)
            fan_in = width
        return dense(last, fan_in)(h)
