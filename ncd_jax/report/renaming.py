"""Names that people give to novel classes, in everything that a run has left."""

import html
import json
import re
from collections.abc import Mapping, Sequence

from ncd_jax.data.table import is_novel_name
from ncd_jax.errors import UserError
from ncd_jax.report.headline import class_order
from ncd_jax.store.model_files import load_model, names_of, save_names
from ncd_jax.store.records import read_assignments, read_metrics
from ncd_jax.store.workdir import Workdir

__all__ = ["rename_classes", "rename_page"]

_PAGE = "report.html"
_LONGEST = 40
"""Characters of a name: as many as figures have room for."""


def rename_classes(workdir: Workdir, wanted: Sequence[str]) -> dict[str, str]:
    """Gives novel classes of a finished run names, from now on.

    They are kept in `names.json` and with the model, and stand in `assignments.csv`, `metrics.json`
    and the report instead of `novel_0`, `novel_1`, ... Gives all, from class to name.

    Args:
        workdir: of the run.
        wanted: `CLASS=NAME` each, where the class goes by the name that it got from the run or has
            by now. The name that it got from the run takes the other one away.

    Raises:
        UserError: the run is not finished or there is no such class; a name is empty, too long,
            that of another class, or one that novel classes get.
    """
    if not workdir.is_complete:
        raise UserError(f"the run in {workdir.root} is not finished; let it finish first")
    with workdir.alone():
        old = names_of(workdir)
        new = _agreed(load_model(workdir).classes, old, wanted)
        metrics = {k: v for k, v in read_metrics(workdir).items() if k != "names"}
        given = {name: novel for novel, name in old.items()}
        header, lines = read_assignments(workdir)
        places = [i for i, name in enumerate(header) if name in ("label", "runner_up")]
        for line in lines:
            for i in places:
                novel = given.get(line[i], line[i])
                line[i] = new.get(novel, novel)
        with workdir.together() as group:
            save_names(group, new)
            group.write_csv("assignments.csv", header, lines)
            if workdir.has(_PAGE):
                group.write_text(_PAGE, rename_page(workdir.read_text(_PAGE), new))
            group.write_json("metrics.json", metrics | ({"names": new} if new else {}))
    return new


def rename_page(page: str, names: Mapping[str, str]) -> str:
    """The report, renamed or not, with other names of classes in its text, and for its script.

    Nothing else can look like the two places: what comes from a table is escaped. A class of which
    there is no name loses its own.
    """

    def text(found: re.Match[str]) -> str:
        name = html.escape(names.get(found[2], found[2]))
        return f"{found[1]}{name}</span>"

    page = re.sub(r'(<span data-class="(novel_\d+)">)[^<]*</span>', text, page)
    given = json.dumps(dict(names), ensure_ascii=False).replace("<", "\\u003c")
    start = '<script type="application/json" id="names">'
    return re.sub(
        re.escape(start) + ".*?</script>", lambda _: f"{start}{given}</script>", page, flags=re.S
    )


def _agreed(
    classes: Sequence[str], old: Mapping[str, str], wanted: Sequence[str]
) -> dict[str, str]:
    """From class to name once all options are fulfilled."""
    given = {name: name for name in classes if is_novel_name(name)}
    given |= {novel: novel for novel in old}
    known = [name for name in classes if name not in given and name not in old.values()]
    called = {name: novel for novel, name in old.items()}
    new, asked = dict(old), set()
    for wish in wanted:
        which, equals, name = (part.strip() for part in wish.partition("="))
        novel = called.get(which, which)
        if not equals:
            raise UserError(
                f"--names: {wish!r} names no class; write CLASS=NAME, as novel_0=Export"
            )
        if novel not in given:
            there = ", ".join(old.get(novel, novel) for novel in sorted(given, key=class_order))
            raise UserError(
                f"--names: there is no novel class {which!r}; there is {there or 'none'}"
            )
        if novel in asked:
            raise UserError(f"--names: {which!r} is named twice; give it one name")
        if not name or len(name) > _LONGEST or not name.isprintable():
            raise UserError(
                f"--names: {name!r} is no name; give 1 to {_LONGEST} printable characters"
            )
        if name in known:
            raise UserError(f"--names: {name!r} is a known class; choose another name")
        if is_novel_name(name) and name != novel:
            raise UserError(f"--names: {name!r} is a name that the run gives; choose another one")
        asked.add(novel)
        new[novel] = name
    new = {novel: name for novel, name in new.items() if name != novel}
    for novel, name in new.items():
        if twin := next((n for n, other in new.items() if other == name and n != novel), None):
            raise UserError(
                f"--names: {name!r} would be the name of {novel} and {twin}; give each its own"
            )
    return {novel: new[novel] for novel in sorted(new, key=class_order)}
