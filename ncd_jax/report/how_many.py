"""How many classes: the index over every number or the judge's chances, in figures and words."""

import math
from dataclasses import dataclass

import numpy as np

from ncd_jax.clustering.n_clusters import INDEX_SIGNS
from ncd_jax.discovery.solution import Solution
from ncd_jax.report.plot_style import ACCENT, BEST, EDGE, Figure, new_figure

__all__ = ["KCurve", "NumberStory", "chance_of", "k_plot", "number_plot", "number_story"]

_CLOSE = 0.1
"""Share of the range of an index below which two numbers of classes are about equally good."""
_LEAST_SHOWN = 0.005
"""Chance of a number from which on it has a bar."""


@dataclass(frozen=True)
class RunnerUp:
    """The best number of novel classes beside the chosen one.

    Attributes:
        index: its validity index, mean over refits; `chosen_index` is that of the chosen number.
        behind: how far it is behind the chosen number, as a share of the range of the index
            over all numbers; negative where its index is the better one.
        noise: standard deviation of the difference between the two from one refit to another,
            or of two average numbers where that is larger: few refits may agree by luck. 0 where
            the index was measured once.
        is_tied: whether the difference is within the tolerance, so that the smaller number was
            taken because it is smaller.
    """

    k: int
    index: float
    chosen_index: float
    behind: float
    noise: float
    is_tied: bool

    @property
    def is_ahead(self) -> bool:
        """Whether its index is better than that of the chosen number."""
        return self.behind < 0

    @property
    def is_within_noise(self) -> bool:
        """Whether the difference is smaller than what another training makes."""
        return abs(self.chosen_index - self.index) < self.noise

    @property
    def is_close(self) -> bool:
        """Whether it would be no surprise if it were the better one."""
        return self.behind < _CLOSE or self.is_tied or self.is_within_noise

    @property
    def is_clear(self) -> bool:
        """Whether the chosen number leads by more than chance; unknown counts as no."""
        return not self.is_close and self.noise > 0


@dataclass(frozen=True)
class KCurve:
    """The validity index over the number of novel classes, on the novel rows.

    Attributes:
        name: of the index in `ncd_jax.clustering.n_clusters.INDEX_SIGNS`.
        ks: `i[m]`, numbers tried.
        index: `f[m]`, mean over refits; NaN where the index is not defined.
        spread: `f[m]`, standard deviation over refits, NaN at the same places.
        chosen: the number that was used.
        tolerance: share of the best index that a smaller number was allowed to be worse by.
    """

    name: str
    ks: np.ndarray
    index: np.ndarray
    spread: np.ndarray
    chosen: int
    tolerance: float = 0.0

    @property
    def title(self) -> str:
        """The name as people write it."""
        return self.name.replace("_", "-").title()

    @property
    def sign(self) -> int:
        """1 where larger is better, -1 where smaller is."""
        return INDEX_SIGNS[self.name]

    @property
    def runner_up(self) -> RunnerUp | None:
        """The best number beside the chosen one; none where either has no index."""
        defined = np.isfinite(self.index)
        value = dict(zip(self.ks[defined], self.sign * self.index[defined], strict=True))
        variance = dict(zip(self.ks[defined], self.spread[defined] ** 2, strict=True))
        others = [k for k in value if k != self.chosen]
        if self.chosen not in value or not others:
            return None
        second = max(others, key=value.__getitem__)
        best, worst = max(value.values()), min(value.values())
        behind = value[self.chosen] - value[second]
        mean_variance = np.mean(list(variance.values()))
        return RunnerUp(
            k=int(second),
            index=float(self.sign * value[second]),
            chosen_index=float(self.sign * value[self.chosen]),
            behind=float(behind / (best - worst)) if best > worst else 0.0,
            noise=math.sqrt(max(variance[self.chosen] + variance[second], 2 * mean_variance)),
            is_tied=bool(abs(behind) <= self.tolerance * abs(best)),
        )


@dataclass(frozen=True)
class NumberStory:
    """What the judge says of the number of novel classes.

    Attributes:
        k: the number that was taken.
        probability: of 1, 2, ... classes.
        nearly_one: the two classes that came nearest to being one, and the odds of it as the
            judge's mean chance that their rows are of one class; none with one class.
        nearly_two: the class that came nearest to being two, the rows of both parts, and the same
            chance; none where every class is one micro cluster.
        is_given: whether the number was given; then nobody asks how likely it is.
    """

    k: int
    probability: tuple[float, ...]
    nearly_one: tuple[str, str, float] | None
    nearly_two: tuple[str, int, int, float] | None
    is_given: bool = False

    @property
    def likely(self) -> tuple[int, ...]:
        """The fewest numbers that hold the true one with a chance of 90 %, in order."""
        order = np.argsort(-np.array(self.probability), kind="stable")
        reached = np.cumsum(np.array(self.probability)[order])
        return tuple(sorted((order[: int(np.searchsorted(reached, 0.9)) + 1] + 1).tolist()))

    @property
    def sure(self) -> float:
        """The chance of the number that was taken."""
        return self.probability[self.k - 1] if self.k <= len(self.probability) else 0.0


def chance_of(log_odds: float) -> float:
    """The probability that goes with some evidence."""
    return float(1 / (1 + np.exp(-log_odds)))


def number_story(solution: Solution) -> NumberStory | None:
    """Finds the merge that was nearly made, and the one that was nearly not."""
    judged, k = solution.judged, solution.answer.k
    if judged is None:
        return None
    partition, linkage = judged.partition, judged.judgement.linkage
    groups = partition.groups
    # A group that its rows have left is no class.
    owners = solution.model.places.owners
    class_of = dict(zip(judged.owners.tolist(), owners.tolist(), strict=True))
    n_groups = int(groups.max()) + 1
    done = len(groups) - n_groups
    nearly_one = nearly_two = None
    if n_groups > 1:
        after = partition.path[done + 1]
        joined = [g for g in range(after.max() + 1) if len(np.unique(groups[after == g])) > 1]
        if joined:
            both = np.unique(groups[after == joined[0]])
            names = sorted(class_of.get(int(group), -1) for group in both)
            pair = [f"novel_{name}" for name in names if name >= 0]
            if len(pair) == 2:
                nearly_one = (pair[0], pair[1], chance_of(linkage[done]))
    if done > 0:
        before = partition.path[done - 1]
        split = [g for g in range(n_groups) if len(np.unique(before[groups == g])) > 1]
        parts = np.unique(before[groups == split[0]])
        rows = [int(np.isin(partition.micro, np.flatnonzero(before == p)).sum()) for p in parts]
        owner = class_of.get(split[0], -1)
        if owner >= 0:
            nearly_two = (f"novel_{owner}", max(rows), min(rows), chance_of(linkage[done - 1]))
    chances = tuple(partition.numbers.tolist())
    is_given = solution.winner.problem.n_novel is not None
    return NumberStory(k, chances, nearly_one, nearly_two, is_given)


def k_plot(curve: KCurve) -> Figure:
    """The validity index over the number of novel classes, the chosen one marked."""
    defined = np.isfinite(curve.index)
    ks, index, spread = (a[defined] for a in (curve.ks, curve.index, curve.spread))
    better = "higher" if curve.sign > 0 else "lower"
    figure = new_figure("number of novel classes k", f"{curve.title} index ({better} is better)")
    figure.add(
        "scatter",
        x=np.concatenate([ks, ks[::-1]]),
        y=np.concatenate([index + spread, (index - spread)[::-1]]),
        fill="toself",
        fillcolor="rgba(0, 114, 178, 0.16)",
        line={"width": 0},
        name="± 1 standard deviation",
        hoverinfo="skip",
    )
    figure.add(
        "scatter",
        x=ks,
        y=index,
        mode="lines+markers",
        line={"color": ACCENT},
        name="mean over trainings",
        customdata=spread,
        hovertemplate="k = %{x}: %{y:.3f} ± %{customdata:.3f}<extra></extra>",
    )
    if (runner_up := curve.runner_up) is not None:
        role = "best index" if runner_up.is_ahead else "runner-up"
        figure.add(
            "scatter",
            x=[runner_up.k],
            y=[runner_up.index],
            mode="markers",
            marker={"color": "white", "size": 12, "line": {"color": BEST, "width": 2}},
            name=f"{role}: {runner_up.k}",
            hovertemplate=f"{role} %{{x}}: %{{y:.3f}}<extra></extra>",
        )
    chosen = ks == curve.chosen
    figure.add(
        "scatter",
        x=ks[chosen],
        y=index[chosen],
        mode="markers",
        marker={"color": BEST, "symbol": "star", "size": 17, "line": EDGE},
        name=f"chosen: {curve.chosen}",
        hovertemplate="chosen %{x}: %{y:.3f}<extra></extra>",
    )
    figure.update_xaxes(dtick=-(-len(curve.ks) // 10))  # about ten ticks, all whole numbers
    return figure


def number_plot(story: NumberStory) -> Figure:
    """Bars of the probability of every number that is not out of the question."""
    shown = [k for k, p in enumerate(story.probability, 1) if p >= _LEAST_SHOWN or k == story.k]
    ks = list(range(min(shown), max(shown) + 1))
    figure = new_figure("number of novel classes", "probability")
    figure.add(
        "bar",
        x=ks,
        y=[story.probability[k - 1] for k in ks],
        marker={"color": ["#2458a6" if k == story.k else "#b8c4d6" for k in ks]},
        hovertemplate="%{x} classes: %{y:.1%}<extra></extra>",
    )
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure
