"""Yes and no as people write them, in several languages."""

from collections.abc import Sequence

__all__ = ["truth_levels", "truth_of"]

_TRUTHS = (
    ("no", "yes"),
    ("n", "y"),
    ("false", "true"),
    ("f", "t"),
    ("nein", "ja"),
    ("n", "j"),
    ("non", "oui"),
    ("n", "o"),
    ("no", "si"),
    ("no", "sí"),
    ("não", "sim"),
    ("nee", "ja"),
    ("nej", "ja"),
    ("off", "on"),
    ("falsch", "wahr"),
    ("faux", "vrai"),
)
_LETTERS = {word for levels in _TRUTHS for word in levels if len(word) == 1}
_BOTH_WAYS = {**{no: 0 for no, _ in _TRUTHS}, **{yes: 1 for _, yes in _TRUTHS}, "0": 0, "1": 1}


def truth_of(word: str) -> int | None:
    """1 or 0 where a word means yes or no, in whatever language, or none."""
    return _BOTH_WAYS.get(word.casefold())


def truth_levels(words: Sequence[str]) -> tuple[str, ...]:
    """How no and yes are called where words say nothing else, or nothing."""
    folded = {word.casefold() for word in words}
    for levels in _TRUTHS:
        if folded == set(levels) or (folded in ({"true"}, {"false"}) and folded <= set(levels)):
            return levels
    # Several spellings of both: `yes`, `Y`, `no`. One letter for each may be anything.
    if len(folded) < 3 or not folded <= _BOTH_WAYS.keys() - {"0", "1"} or folded <= _LETTERS:
        return ()
    sides = [[w for w in sorted(folded, key=len) if _BOTH_WAYS[w] == side] for side in (0, 1)]
    return (sides[0][-1], sides[1][-1]) if all(sides) else ()
