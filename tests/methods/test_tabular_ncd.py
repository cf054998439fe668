import chex
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from tiers import few

from ncd_jax.methods.parts import variables_of
from ncd_jax.methods.spec import Spec
from ncd_jax.methods.tabular_ncd import INFO, MEMORY, HParams, tabular_ncd
from ncd_jax.networks.augmentation import Memory, augment
from ncd_jax.networks.tabular_ncd_net import TabularNCDNet
from ncd_jax.types import Batch, Goal, NCDData

N, D, C, ROOM, LATENT, SLOTS, K = 18, 5, 3, 6, 4, 5, 3
W1, W2, TOP_K = 0.3, 0.6, 0.44
HPARAMS = HParams(
    lr=jnp.float32(1e-3),
    dropout=jnp.float32(0),
    latent_dim=jnp.int32(LATENT),
    k_neighbors=jnp.int32(4),
    top_k=jnp.float32(TOP_K),
    w1=jnp.float32(W1),
    w2=jnp.float32(W2),
)
KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
X = RNG.normal(size=(N, D)).astype(np.float32)
# Class 2 is hidden, as in a fold.
Y = np.array([0, 1, 0, 1, -1, -1, 0, 1, -1, -1, 1, 0, -1, -1, -1, -1, -1, -1], np.int32)
NOVEL = np.flatnonzero(Y == -1)
# Two unlabelled rows are not asked for: truly novel ones, in a fold.
NOVEL = NOVEL[:-2]
DATA = jax.device_put(NCDData(X, Y))
BATCH = jax.device_put(Batch(X, Y, np.isin(np.arange(N), NOVEL)))
GOAL = jax.device_put(Goal(NOVEL, np.ones(len(NOVEL), bool), np.int32(K)))


def make(max_clusters=SLOTS, variant="fraction", blocks=()):
    return tabular_ncd(Spec(D, C, ROOM, max_clusters=max_clusters, variant=variant, blocks=blocks))


METHOD = make()
STEP = jax.jit(METHOD.stages[0].step)
INIT = jax.jit(METHOD.init)
REPRESENT = jax.jit(METHOD.represent)
ASSIGN, CLUSTER = jax.jit(METHOD.assign), jax.jit(METHOD.cluster)
MOVE = jax.jit(augment, static_argnums=5)


def losses_of(method):
    """What a step tells, compiled without the step."""
    return jax.jit(lambda *arguments: method.stages[0].step(*arguments)[1])


@pytest.fixture(scope="module")
def state():
    """After a step, so that there is a memory."""
    start = INIT(KEY, DATA, GOAL, HPARAMS)
    return STEP(jax.random.key(1), start, BATCH, HPARAMS)[0]


def float64(tree):
    return jax.tree.map(lambda leaf: np.array(leaf, np.float64), tree)


def numpy_outputs(params, x, kinds):
    """Latents and both heads in training, dropout 0; each kind of rows is normalised alone."""
    encoder, h = params["encoder"], x
    for i in range(2):
        linear, norm = encoder[f"Dense_{i}"], encoder[f"_NormApart_{i}"]
        h = np.maximum(h @ linear["kernel"] + linear["bias"], 0)
        for kind in np.unique(kinds):
            own = h[kinds == kind]
            h[kinds == kind] = (own - own.mean(axis=0)) / np.sqrt(own.var(axis=0) + 1e-5)
        h = h * norm["scale"] + norm["bias"]
    h = h @ encoder["Dense_2"]["kernel"] + encoder["Dense_2"]["bias"]
    h[:, LATENT:] = 0
    heads = (params[name]["Dense_0"] for name in ("classification", "clustering"))
    return h, *(h @ head["kernel"] + head["bias"] for head in heads)


def softmax(logits):
    p = np.exp(logits - logits.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True)


def numpy_loss(params, moved, n_nearest):
    """The loss again from its definition, with loops over pairs; float64."""
    kinds = np.concatenate([np.zeros(N), np.where(Y == -1, 1, 2)])
    z, logits, clusters = numpy_outputs(params, np.concatenate([X, moved]), kinds)
    logits, clusters = logits[:, [0, 1, C]], clusters[:, :K]
    p = softmax(logits[:N])
    told = np.flatnonzero(BATCH.wanted | (Y != -1))
    cross_entropy = -np.log(p[told, np.where(Y == -1, 2, Y)[told]]).mean()
    steady_classes = np.square(logits[:N] - logits[N:]).mean()
    steady_clusters = np.square(clusters[:N] - clusters[N:])[NOVEL].mean()
    z, q = z[NOVEL] / np.linalg.norm(z[NOVEL], axis=1, keepdims=True), softmax(clusters[NOVEL])
    similarity = z @ z.T - 9 * np.eye(len(z))
    near = [set(np.argsort(-row)[:n_nearest]) for row in similarity]
    pairs = []
    for i in range(len(z)):
        for j in range(i):
            same = q[i] @ q[j]
            pairs.append(-np.log(same if i in near[j] or j in near[i] else 1 - same))
    total = W1 * cross_entropy + (1 - W1) * steady_classes
    total += W2 * np.mean(pairs) + (1 - W2) * steady_clusters
    return total, cross_entropy, np.mean(pairs), steady_classes, steady_clusters


LOSSES = {variant: losses_of(make(variant=variant)) for variant in INFO.variants}
LOSSES["fraction"] = lambda *arguments: STEP(*arguments)[1]  # which is compiled anyway
CASES = [
    ("fraction", TOP_K, 3),
    ("percent", 100 * TOP_K, 3),
    ("percent", TOP_K, 0),
    ("class_share", K * TOP_K, 3),
    ("class_share", TOP_K, 1),
]


@pytest.mark.parametrize(
    ("variant", "top_k", "n_nearest"),
    few(CASES, *(case for case in CASES if case[0] != "percent")),
)
def test_loss_is_its_definition(variant, top_k, n_nearest, state, rtol):
    """Of eight rows three and a half are taken as three, a hundredth as none, a third as one."""
    hparams = HPARAMS._replace(top_k=jnp.float32(top_k))
    info = LOSSES[variant](KEY, state, BATCH, hparams)
    key_move, _ = jax.random.split(KEY)
    moved = MOVE(key_move, DATA.x, Y != -1, state.opt.memory, HPARAMS.k_neighbors, ())
    expected = numpy_loss(float64(state.params), np.asarray(moved), n_nearest)
    names = ("loss", "cross_entropy", "pairs", "steady_classes", "steady_clusters")
    for name, value in zip(names, expected, strict=True):
        np.testing.assert_allclose(info[name], value, rtol=100 * rtol, err_msg=name)


def test_moved_rows_keep_to_the_categories(state, rtol):
    """The loss is that of rows moved with their blocks, and of no others."""
    blocks = ((0, 2), (3, 5))
    info = losses_of(make(blocks=blocks))(KEY, state, BATCH, HPARAMS)
    arguments = DATA.x, Y != -1, state.opt.memory, HPARAMS.k_neighbors
    for kind, same in ((blocks, True), ((), False)):
        moved = MOVE(jax.random.split(KEY)[0], *arguments, kind)
        total, *_ = numpy_loss(float64(state.params), np.asarray(moved), 3)
        assert np.isclose(info["loss"], total, rtol=100 * rtol) == same


def test_nothing_is_learnt_from_rows_that_are_held_out(state):
    """Neither labelled nor wanted, they are of no class: only agreement on moved rows is left."""
    batch = Batch(DATA.x, np.full(N, -1, np.int32), np.zeros(N, bool))
    hparams = HPARAMS._replace(w1=jnp.float32(1), w2=jnp.float32(1))
    after, info = STEP(KEY, state, batch, hparams)
    assert info["loss"] == 0 < info["steady_classes"]
    # The first moment decays by 0.9 where there is no gradient.
    before = state.opt.moments[0].mu
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, 0.9 * np.asarray(b), rtol=1e-5),
        after.opt.moments[0].mu,
        before,
    )
    wanted = batch._replace(wanted=np.ones(N, bool))
    assert STEP(KEY, state, wanted, hparams)[1]["cross_entropy"] > 0


def test_masked_slots_equal_a_head_without_them(state, rtol):
    """The same weights, as many outputs as clusters: the same loss and the same step."""
    whole = {k: np.asarray(leaf) for k, leaf in state.params["clustering"]["Dense_0"].items()}
    head = {name: leaf[..., :K] for name, leaf in whole.items()}
    params = state.params | {"clustering": {"Dense_0": head}}
    method = make(max_clusters=K)

    def restart(opt, params):
        """The optimiser anew, whose moments are zeros of the shape of the weights."""
        opt = jax.tree.map(lambda leaf: np.zeros(leaf.shape, leaf.dtype), opt)
        return state._replace(params=params, opt=opt._replace(memory=state.opt.memory))

    small = restart(jax.eval_shape(method.init, KEY, DATA, GOAL, HPARAMS).opt, params)
    large = restart(state.opt, state.params)
    after, info = STEP(KEY, large, BATCH, HPARAMS)
    small_after, small_info = jax.jit(method.stages[0].step)(KEY, small, BATCH, HPARAMS)
    for name in info:
        np.testing.assert_allclose(info[name], small_info[name], rtol=10 * rtol)
    z = REPRESENT(after, DATA.x)
    np.testing.assert_allclose(z, jax.jit(method.represent)(small_after, DATA.x), atol=2e-3)
    unused = np.asarray(after.params["clustering"]["Dense_0"]["kernel"])[:, K:]
    decayed = (1 - 0.01 * np.asarray(HPARAMS.lr)) * whole["kernel"][:, K:]
    np.testing.assert_allclose(unused, decayed, rtol=1e-5)


@pytest.mark.parametrize("room", few([len(NOVEL), len(NOVEL) + 2, N], len(NOVEL) + 2))
def test_pairs_are_the_same_wherever_their_rows_are_looked_for(room, state, rtol):
    places = np.resize(np.append(NOVEL, [0] * N), room).astype(np.int32)
    after, info = STEP(KEY, state, BATCH, HPARAMS)
    narrow, narrow_info = STEP(KEY, state, BATCH._replace(places=places), HPARAMS)
    for name in info:
        np.testing.assert_allclose(info[name], narrow_info[name], rtol=10 * rtol)
    chex.assert_trees_all_close(after.params, narrow.params, atol=1e-5)


@pytest.mark.parametrize("labels", [np.abs(Y), np.full(N, -1), np.arange(N) - 1])
def test_batches_of_one_kind(labels, state):
    """No unlabelled row, no labelled one, one unlabelled row alone."""
    labels = np.where(labels >= 2, 0, labels).astype(np.int32)
    batch = Batch(DATA.x, labels, labels == -1)
    after, info = STEP(KEY, state, batch, HPARAMS)
    assert all(np.isfinite(leaf).all() for leaf in jax.tree.leaves((after.params, info)))
    if (labels != -1).all():
        assert info["pairs"] == info["steady_clusters"] == 0
    assert after.opt.memory.filled.all()


def test_memory_is_that_of_the_batches_before():
    start = INIT(KEY, DATA, GOAL, HPARAMS)
    assert not start.opt.memory.filled.any()
    wanted = np.asarray(BATCH.wanted)
    batches = [Batch(*(leaf[i : i + 7] for leaf in (X, Y, wanted))) for i in (0, 7, 11)]
    remember = jax.jit(lambda *arguments: METHOD.stages[0].step(*arguments)[0].opt.memory)
    state = start
    for batch in batches:
        memory = remember(KEY, state, batch, HPARAMS)
        state = state._replace(opt=state.opt._replace(memory=memory))
    rows = np.concatenate([batch.x for batch in batches])[-N:]
    kinds = np.concatenate([batch.y for batch in batches])[-N:] != -1
    np.testing.assert_array_equal(memory.x, rows)
    np.testing.assert_array_equal(memory.labelled, kinds)


def test_memory_is_bounded_on_large_tables():
    many = NCDData(np.zeros((MEMORY + 5, D), np.float32), np.zeros(MEMORY + 5, np.int32))
    shapes = jax.eval_shape(METHOD.init, KEY, many, GOAL, HPARAMS)
    assert shapes.opt.memory.x.shape == (MEMORY, D)


def test_running_statistics_are_those_of_the_rows(state):
    """Not of moved rows: in evaluation there are none."""
    after, _ = STEP(KEY, state, BATCH, HPARAMS)
    linear = float64(state.params["encoder"]["Dense_0"])
    h = np.maximum(X @ linear["kernel"] + linear["bias"], 0)
    before, now = (s.batch_stats["encoder"]["_NormApart_0"] for s in (state, after))
    np.testing.assert_allclose(now["mean"], 0.9 * before["mean"] + 0.1 * h.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(now["var"], 0.9 * before["var"] + 0.1 * h.var(axis=0), rtol=1e-4)


def test_clusters_are_the_largest_outputs(state):
    """The head by hand; masked rows have a label and no say in the centroids."""
    model = state._replace(opt=None)
    z = np.asarray(REPRESENT(model, DATA.x))
    np.testing.assert_array_equal(z[:, LATENT:], 0)
    mask = np.arange(N) % 3 > 0
    found = CLUSTER(KEY, model, z, K, mask)
    head = float64(state.params["clustering"]["Dense_0"])
    expected = (z @ head["kernel"] + head["bias"])[:, :K].argmax(axis=1)
    np.testing.assert_array_equal(found.labels, expected)
    assert found.labels.dtype == jnp.int32
    for slot in range(SLOTS):
        rows = z[mask & (expected == slot)]
        mean = rows.mean(axis=0) if len(rows) else np.zeros(ROOM)
        np.testing.assert_allclose(found.centroids[slot], mean, atol=1e-6)
    active = np.arange(SLOTS) < K
    np.testing.assert_array_equal(ASSIGN(model, z, found.centroids, active), expected)
    only = ASSIGN(model, z, found.centroids, np.arange(SLOTS) == 1)
    np.testing.assert_array_equal(only, 1)


@pytest.mark.parametrize("k", [K, SLOTS])
def test_no_more_clusters_than_the_method_was_fitted_for(k, state):
    z = REPRESENT(state, DATA.x)
    head = state.params["clustering"]["Dense_0"]
    loud = head | {"bias": np.where(np.arange(SLOTS) < K, head["bias"], np.float32(99))}
    state = state._replace(params=state.params | {"clustering": {"Dense_0": loud}})
    state = state._replace(opt=None)
    found = CLUSTER(KEY, state, z, k, np.ones(N, bool))
    assert found.centroids.shape == (SLOTS, ROOM)
    assert np.max(found.labels) < K
    again = ASSIGN(state, z, found.centroids, np.arange(SLOTS) < K)
    np.testing.assert_array_equal(again, found.labels)


@pytest.mark.thorough
def test_lanes_equal_a_loop(state):
    """Over labels, the number of clusters and hyperparameters, with the rows shared."""
    y = jnp.stack([DATA.y, jnp.where(DATA.y == 1, -1, DATA.y)])
    goals = Goal(GOAL.rows, GOAL.mask, jnp.array([2, 4]))
    hparams = HPARAMS._replace(
        lr=jnp.array([1e-5, 2e-5]), k_neighbors=jnp.array([1, 9]), top_k=jnp.array([0.1, 0.4])
    )

    def run(y, goal, hparams):
        data = DATA._replace(y=y)
        state, batch = METHOD.init(KEY, data, goal, hparams), Batch(data.x, y, y == -1)
        state, _ = jax.lax.scan(
            lambda state, key: METHOD.stages[0].step(key, state, batch, hparams),
            state,
            jax.random.split(KEY, 3),
        )
        return METHOD.represent(state, data.x), state.opt.memory

    axes = HParams(*(0 if leaf.ndim else None for leaf in hparams))
    many = jax.vmap(run, (0, Goal(None, None, 0), axes), (0, Memory(None, 0, None)))
    z, memory = jax.jit(many)(y, goals, hparams)
    assert memory.x.shape == (N, D)
    for i in range(2):
        one = HParams(*(leaf[i] if leaf.ndim else leaf for leaf in hparams))
        alone, own_memory = jax.jit(run)(y[i], GOAL._replace(k=goals.k[i]), one)
        np.testing.assert_allclose(z[i], alone, rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(memory.labelled[i], own_memory.labelled)


def test_finds_blobs(blobs):
    """Six groups far apart, three of them known: the clusters are the other three."""
    x, classes = blobs([20] * 6, 8)
    x = (x - x.mean(axis=0)) / x.std(axis=0)
    data = jax.device_put(NCDData(x, np.where(classes < 3, classes, -1).astype(np.int32)))
    batch = Batch(data.x, data.y, jax.device_put(classes >= 3))
    rows = np.flatnonzero(classes >= 3)
    goal = jax.device_put(Goal(rows, np.ones(len(rows), bool), np.int32(3)))
    method = tabular_ncd(Spec(8, 3, 8, max_clusters=SLOTS))
    hparams = HPARAMS._replace(
        lr=jnp.float32(5e-3), latent_dim=jnp.int32(8), top_k=jnp.float32(0.6), w2=jnp.float32(0.9)
    )

    @jax.jit
    def run(key):
        def step(state, key):
            return method.stages[0].step(key, state, batch, hparams)

        state = method.init(key, data, goal, hparams)
        state, _ = jax.lax.scan(step, state, jax.random.split(key, 200))
        z = method.represent(state, data.x[rows])
        found = method.cluster(key, state, z, 3, goal.mask)
        net, kinds = TabularNCDNet(8, 3, 8, SLOTS), jnp.ones((len(x), 1))
        out = net.apply(variables_of(state), data.x, kinds, 8, 0.0, train=False)
        return found.labels, out.logits[:, :3]

    labels, logits = run(KEY)
    table = np.zeros((3, 3), int)
    np.add.at(table, (labels, classes[rows] - 3), 1)
    assert table.max(axis=1).sum() >= 0.95 * len(rows)
    assert (table.max(axis=1) > 0).all()
    known = classes < 3
    assert (np.asarray(logits).argmax(axis=1)[known] == classes[known]).mean() > 0.95
