import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.networks.losses import known_cross_entropy, reconstruction_error

LOG = np.log
PRESENT = jnp.array([True, True, True])


@pytest.fixture(scope="module")
def loss_and_grad():
    return jax.jit(jax.value_and_grad(known_cross_entropy))


def test_cross_entropy_by_hand(loss_and_grad, rtol):
    """Softmax (1/2, 1/4, 1/4) and (1/8, 1/8, 3/4); the third row has no label."""
    logits = LOG([[2.0, 1.0, 1.0], [1.0, 1.0, 6.0], [9.0, 1.0, 1.0]])
    loss, grad = loss_and_grad(jnp.asarray(logits), jnp.array([0, 1, -1]), PRESENT)
    np.testing.assert_allclose(loss, (LOG(2) + LOG(8)) / 2, rtol=rtol)
    # The gradient of a softmax cross-entropy is probability minus target, over two rows.
    expected = np.array([[-1 / 2, 1 / 4, 1 / 4], [1 / 8, -7 / 8, 3 / 4], [0, 0, 0]]) / 2
    np.testing.assert_allclose(grad, expected, rtol=rtol, atol=1e-7)


def test_absent_classes_take_no_part(loss_and_grad, rtol):
    """The same numbers as with the outputs of the absent classes cut out."""
    rng = np.random.default_rng(0)
    logits = jnp.asarray(30 * rng.normal(size=(8, 5)), jnp.float32)
    present = np.array([True, False, True, True, False])
    y = np.array([0, 2, -1, 3, 3, -1, 2, 0])
    smaller = np.array([0, -1, 1, 2, -1])[y]
    smaller[y == -1] = -1
    loss, grad = loss_and_grad(logits, jnp.asarray(y), jnp.asarray(present))
    cut_loss, cut_grad = loss_and_grad(logits[:, present], jnp.asarray(smaller), PRESENT)
    np.testing.assert_allclose(loss, cut_loss, rtol=rtol)
    np.testing.assert_allclose(grad[:, present], cut_grad, rtol=rtol, atol=1e-7)
    np.testing.assert_array_equal(grad[:, ~present], 0)


@pytest.mark.parametrize("present", [PRESENT, ~PRESENT])
def test_without_a_labelled_row(present, loss_and_grad):
    loss, grad = loss_and_grad(jnp.ones((3, 3)), jnp.array([-1, -1, -1]), present)
    assert loss == 0
    np.testing.assert_array_equal(grad, 0)


def test_cross_entropy_of_huge_logits(loss_and_grad):
    logits = jnp.array([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    loss, grad = loss_and_grad(logits, jnp.array([0, 0]), PRESENT)
    assert loss == 1e4
    assert jnp.isfinite(grad).all()


def test_reconstruction_error_by_hand():
    """Squares 1 + 4 in the first row and 9 in the second; a mean over rows, not columns."""
    x = jnp.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    reconstruction = jnp.array([[2.0, 0.0, 3.0], [4.0, 5.0, 9.0]])
    assert reconstruction_error(reconstruction, x) == 7


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        reconstruction_error(jnp.ones((2, 3)), jnp.ones((2, 1)))
    with pytest.raises(AssertionError):
        known_cross_entropy(jnp.ones((2, 3)), jnp.ones((2, 1), int), PRESENT)
