"""How sure the number of new classes is, told by the groups it hangs on."""

from dataclasses import dataclass

import numpy as np
import plotly.graph_objects as go

from ncd_jax.discovery.answers import Answer
from ncd_jax.discovery.solution import Judged
from ncd_jax.report.plot_style import new_figure

__all__ = ["NumberStory", "number_plot", "number_story"]

_LEAST_SHOWN = 0.005


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
    """

    k: int
    probability: tuple[float, ...]
    nearly_one: tuple[str, str, float] | None
    nearly_two: tuple[str, int, int, float] | None

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


def number_story(judged: Judged, answer: Answer) -> NumberStory:
    """Finds the merge that was nearly made, and the one that was nearly not.

    Args:
        judged: what the judge said.
        answer: the partition that came out.
    """
    partition, linkage = judged.partition, judged.judgement.linkage
    groups = partition.groups
    # A group that its rows have left is no class.
    class_of = dict(zip(judged.cells.owners.tolist(), answer.owners.tolist(), strict=True))
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
                nearly_one = (pair[0], pair[1], _chance(linkage[done]))
    if done > 0:
        before = partition.path[done - 1]
        split = [g for g in range(n_groups) if len(np.unique(before[groups == g])) > 1]
        parts = np.unique(before[groups == split[0]])
        rows = [int(np.isin(partition.micro, np.flatnonzero(before == p)).sum()) for p in parts]
        owner = class_of.get(split[0], -1)
        if owner >= 0:
            nearly_two = (f"novel_{owner}", max(rows), min(rows), _chance(linkage[done - 1]))
    return NumberStory(answer.k, tuple(partition.numbers.tolist()), nearly_one, nearly_two)


def number_plot(story: NumberStory) -> go.Figure:
    """Bars of the probability of every number that is not out of the question."""
    shown = [k for k, p in enumerate(story.probability, 1) if p >= _LEAST_SHOWN or k == story.k]
    ks = list(range(min(shown), max(shown) + 1))
    figure = new_figure("number of novel classes", "probability")
    figure.add_bar(
        x=ks,
        y=[story.probability[k - 1] for k in ks],
        marker_color=["#2458a6" if k == story.k else "#b8c4d6" for k in ks],
        hovertemplate="%{x} classes: %{y:.1%}<extra></extra>",
    )
    figure.update_xaxes(dtick=1)
    figure.update_yaxes(tickformat=".0%", rangemode="tozero")
    return figure


def _chance(log_odds: float) -> float:
    return float(1 / (1 + np.exp(-log_odds)))
