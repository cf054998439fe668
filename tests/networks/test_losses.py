import jax
import jax.numpy as jnp
import numpy as np
import pytest

from ncd_jax.networks.losses import known_cross_entropy, reconstruction_error

LOG = np.log
PRESENT = np.array([True, True, True])


compiled_error = jax.jit(reconstruction_error, static_argnums=2)


@pytest.fixture(scope="module")
def loss_and_grad():
    run = jax.jit(jax.value_and_grad(known_cross_entropy))
    return lambda *arguments: jax.tree.map(np.asarray, run(*arguments))


def test_cross_entropy_by_hand(loss_and_grad, rtol):
    """Softmax (1/2, 1/4, 1/4) and (1/8, 1/8, 3/4); the third row has no label."""
    logits = LOG([[2.0, 1.0, 1.0], [1.0, 1.0, 6.0], [9.0, 1.0, 1.0]])
    loss, grad = loss_and_grad(np.float32(logits), np.array([0, 1, -1]), PRESENT)
    np.testing.assert_allclose(loss, (LOG(2) + LOG(8)) / 2, rtol=rtol)
    # The gradient of a softmax cross-entropy is probability minus target, over two rows.
    expected = np.array([[-1 / 2, 1 / 4, 1 / 4], [1 / 8, -7 / 8, 3 / 4], [0, 0, 0]]) / 2
    np.testing.assert_allclose(grad, expected, rtol=rtol, atol=1e-7)


def test_absent_classes_take_no_part(loss_and_grad, rtol):
    """The same numbers as with the outputs of the absent classes cut out."""
    rng = np.random.default_rng(0)
    logits = np.float32(30 * rng.normal(size=(8, 5)))
    present = np.array([True, False, True, True, False])
    y = np.array([0, 2, -1, 3, 3, -1, 2, 0])
    smaller = np.array([0, -1, 1, 2, -1])[y]
    smaller[y == -1] = -1
    loss, grad = loss_and_grad(logits, y, present)
    cut_loss, cut_grad = loss_and_grad(logits[:, present], smaller, PRESENT)
    np.testing.assert_allclose(loss, cut_loss, rtol=rtol)
    np.testing.assert_allclose(grad[:, present], cut_grad, rtol=rtol, atol=1e-7)
    np.testing.assert_array_equal(grad[:, ~present], 0)


@pytest.mark.parametrize("present", [PRESENT, ~PRESENT])
def test_without_a_labelled_row(present, loss_and_grad):
    loss, grad = loss_and_grad(np.ones((3, 3), np.float32), np.array([-1, -1, -1]), present)
    assert loss == 0
    np.testing.assert_array_equal(grad, 0)


def test_cross_entropy_of_huge_logits(loss_and_grad):
    logits = np.float32([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0]])
    loss, grad = loss_and_grad(logits, np.array([0, 0]), PRESENT)
    assert loss == 1e4
    assert np.isfinite(grad).all()


def test_reconstruction_error_by_hand():
    """Squares 1 + 4 in the first row and 9 in the second; a mean over rows, not columns."""
    x = np.float32([[1, 2, 3], [4, 5, 6]])
    reconstruction = np.float32([[2, 0, 3], [4, 5, 9]])
    assert compiled_error(reconstruction, x) == 7


def test_without_blocks_it_is_the_squared_error_bit_by_bit():
    rng = np.random.default_rng(0)
    r, x = (rng.normal(size=(300, 40)).astype(np.float32) for _ in range(2))

    def squared(r, x):
        return jnp.mean(jnp.sum((r - x) ** 2, axis=1))

    for mode in (jax.jit, lambda f: f):
        assert mode(reconstruction_error)(r, x) == mode(squared)(r, x)
        found, expected = (mode(jax.grad(f))(r, x) for f in (reconstruction_error, squared))
        np.testing.assert_array_equal(found, expected)
    found, expected = (str(jax.make_jaxpr(f)(r, x)) for f in (reconstruction_error, squared))
    assert found.replace("reconstruction_error", "squared") == expected


BLOCKS = ((1, 4), (5, 7))


def rebuild_by_blocks(r, x, blocks=BLOCKS):
    return compiled_error(np.float32(r), np.float32(x), blocks)


def test_reconstruction_of_categories_by_hand(rtol):
    """Numbers off by 1 and 2; softmax (1/2, 1/4, 1/4) and (1/9, 8/9), then (1/3,) * 3 and none."""
    x = [[3.0, 0.7, 0.0, 0.0, 5.0, 0.7, 0.0], [3.0, 0.0, 0.0, 0.7, 5.0, 0.0, 0.0]]
    r = [[4.0, *LOG([2.0, 1.0, 1.0]), 7.0, 0.0, LOG(8.0)], [3.0, 6.0, 6.0, 6.0, 5.0, -4.0, 9.0]]
    first = 1 + LOG(2) / LOG(3) + 4 + LOG(9) / LOG(2)
    found = rebuild_by_blocks(r, x)
    np.testing.assert_allclose(found, (first + 1) / 2, rtol=rtol)


def rows_with_blocks(scale=3.0):
    rng = np.random.default_rng(0)
    r = (scale * rng.normal(size=(50, 8))).astype(np.float32)
    x = rng.normal(size=(50, 8)).astype(np.float32)
    for start, stop in BLOCKS:
        x[:, start:stop] = 0.7 * np.eye(stop - start)[rng.integers(0, stop - start, 50)]
    x[:4, 5:7] = 0
    return r, x


@pytest.mark.parametrize("scale", [3.0, 1e4])
def test_reconstruction_and_its_gradient_against_float64(scale, rtol):
    """The gradient is probability minus target; also for logits whose exponentials overflow."""
    r, x = rows_with_blocks(scale)
    loss, grad = jax.value_and_grad(compiled_error)(r, x, BLOCKS)
    cost, expected = (np.float64(r) - x) ** 2, 2 * (np.float64(r) - x)
    for start, stop in BLOCKS:
        logits, target = np.float64(r[:, start:stop]), x[:, start:stop] > 0
        p = np.exp(logits - logits.max(axis=1, keepdims=True))
        total = p.sum(axis=1, keepdims=True)
        log_p = logits - logits.max(axis=1, keepdims=True) - np.log(total)
        given, weight = target.any(axis=1, keepdims=True), 1 / LOG(stop - start)
        cost[:, start:stop] = -log_p * target * weight
        expected[:, start:stop] = (p / total - target) * given * weight
    np.testing.assert_allclose(loss, cost.sum(axis=1).mean(), rtol=rtol)
    np.testing.assert_allclose(grad, expected / 50, rtol=10 * rtol, atol=1e-7)


def test_a_category_costs_as_much_as_a_number_where_nothing_is_known(rtol):
    """Whatever the number of words; a number of variance 1, guessed to be its mean."""
    number = np.array([1.0, -1.0] * 6)
    for words in (2, 3, 6):
        x = np.column_stack([number, 0.7 * np.eye(words)[np.arange(12) % words]])
        found = rebuild_by_blocks(np.zeros_like(x), x, ((1, 1 + words),))
        np.testing.assert_allclose(found, 1 + 1, rtol=rtol)


def test_the_scale_of_columns_does_not_change_what_a_category_costs(rtol):
    r, x = rows_with_blocks()
    x = x[4:]
    other = x.copy()
    for start, stop in BLOCKS:
        part = x[:, start:stop]
        other[:, start:stop] = (part - part.mean(axis=0)) / part.std(axis=0)
    np.testing.assert_allclose(
        rebuild_by_blocks(r[4:], other), rebuild_by_blocks(r[4:], x), rtol=rtol
    )


def test_a_category_of_one_word_costs_nothing():
    x = np.array([[0.7, 1.0], [0.7, 2.0]])
    assert rebuild_by_blocks([[-5.0, 1.0], [5.0, 2.0]], x, ((0, 1),)) == 0


def test_shapes_are_checked():
    with pytest.raises(AssertionError):
        reconstruction_error(np.ones((2, 3)), np.ones((2, 1)))
    with pytest.raises(AssertionError):
        known_cross_entropy(np.ones((2, 3)), np.ones((2, 1), int), PRESENT)
