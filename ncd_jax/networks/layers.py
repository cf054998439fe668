"""Layers that sweeps need: their knobs may be traced values, and rows are the last axis.

Flax's own dropout takes its rate as a Python number, so every rate would be a new
compilation, and its initialisers derive the fan-in from the array, which is wrong where part
of the input is masked away.

Here a batch is `f32[d, n]`. A row of a table is narrow and a batch is long, so statistics, biases
and gradients of weights, which all run over the rows, then run along memory; see docs/speed.md.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from ncd_jax.types import Array

__all__ = ["Dense", "Dropout", "Perceptron"]

MOMENTUM = 0.9


class Dense(nn.Module):
    """A linear layer with weights and bias uniform in `±1/sqrt(fan_in)`.

    That is PyTorch's default for linear layers, which the reference results were made with.

    Attributes:
        width: columns of the output.
    """

    width: int

    @nn.compact
    def __call__(self, h: Array, fan_in: Array | float) -> Array:
        """Maps `f32[d, n]` to `f32[width, n]`; `fan_in` may be traced."""

        def init(key: Array, shape: tuple[int, ...]) -> Array:
            return jax.random.uniform(key, shape, jnp.float32, -1.0, 1.0) / jnp.sqrt(fan_in)

        kernel = self.param("kernel", init, (len(h), self.width))
        bias = self.param("bias", init, (self.width,))
        return kernel.T @ h + bias[:, None]


class Dropout(nn.Module):
    """Inverted dropout with a traced rate.

    Sixteen random bits decide about a value: half the generator's work, and a rate that is
    off by at most 2^-16. The draw does not depend on the rate, so under `vmap` over rates it
    is made once and all lanes see the same noise: common random numbers.
    """

    @nn.compact
    def __call__(self, h: Array, rate: Array, *, train: bool) -> Array:
        """Zeroes a share `rate` of `f32[width, n]` and scales up the rest."""
        if not train:
            return h
        # Asked for sixteen bits, JAX makes thirty-two and drops half of them.
        words = jax.random.bits(self.make_rng("dropout"), (-(-h.size // 2),))
        halves = jnp.concatenate([words & 0xFFFF, words >> 16])
        keep = halves[: h.size].reshape(h.shape).astype(jnp.float32) >= rate * 2**16
        return jnp.where(keep, h * (1.0 / (1.0 - rate)), 0.0)


class Perceptron(nn.Module):
    """Linear layers with ReLU, BatchNorm and dropout between them; the last is bare.

    Attributes:
        widths: output widths of the layers.
    """

    widths: tuple[int, ...]

    @nn.compact
    def __call__(self, h: Array, fan_in: Array | float, rate: Array, *, train: bool) -> Array:
        """Maps `f32[d, n]` to `f32[widths[-1], n]`.

        Args:
            h: input.
            fan_in: columns of `h` that are not masked away.
            rate: dropout rate.
            train: whether batch statistics and dropout are those of training.
        """
        *hidden, last = self.widths
        for width in hidden:
            h = nn.relu(Dense(width)(h, fan_in))
            h = nn.BatchNorm(use_running_average=not train, momentum=MOMENTUM, axis=0)(h)
            h = Dropout()(h, rate, train=train)
            fan_in = width
        return Dense(last)(h, fan_in)
