import jax
import jax.numpy as jnp
import numpy as np

from ncd_jax.clustering.rows import draw_rows

KEY = jax.random.key(0)


def test_unmasked_rows_come_first():
    mask = np.arange(50) % 2 == 0
    rows, active = draw_rows(KEY, jnp.asarray(mask), 20)
    assert active.all()
    assert len(set(rows.tolist())) == 20
    assert mask[rows].all()
    assert not np.array_equal(rows, draw_rows(jax.random.key(1), jnp.asarray(mask), 20)[0])
    rows, active = draw_rows(KEY, jnp.asarray(mask), 30)
    np.testing.assert_array_equal(mask[rows], active)
    assert active.sum() == 25
    rows, active = draw_rows(KEY, jnp.asarray(mask), 50)
    np.testing.assert_array_equal(rows, np.arange(50))
    np.testing.assert_array_equal(active, mask)
