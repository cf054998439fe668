"""The run: its settings, what it is doing, stop and go on."""

import dataclasses
import re
import shlex
from collections.abc import Mapping
from operator import attrgetter
from typing import NamedTuple

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from ncd_jax.app.desk import desk_of, posted, run_of, show
from ncd_jax.app.folder import Plan, Run
from ncd_jax.app.guard import Form
from ncd_jax.app.jobs import complaint, steps
from ncd_jax.app.screen_start import progress_in_a_word
from ncd_jax.clustering.n_clusters import INDEX_SIGNS
from ncd_jax.config import JUDGE, default_config
from ncd_jax.errors import UserError
from ncd_jax.methods import METHODS

__all__ = ["ROUTES", "SETTINGS", "Setting", "command_line"]


class Setting(NamedTuple):
    """A key of the configuration that has a field.

    Attributes:
        key: behind `--config.`.
        title: what it is.
        choices: values that there are, if these can be listed, and what they mean.
    """

    key: str
    title: str
    choices: Mapping[str, str] = {}

    @property
    def default(self) -> str:
        """What holds where nobody says anything."""
        value = attrgetter(self.key)(default_config())
        return "" if value is None else str(value)


SETTINGS = (
    Setting(
        "method",
        "Method",
        {name: info.title for name, info in METHODS.items()} | {"auto": "all of them, the best"},
    ),
    Setting("k.n_novel", "Number of new classes, if you know it"),
    Setting(
        "setting",
        "Rows without a label",
        {
            "auto": "look whether some are of known classes",
            "ncd": "all are of new classes",
            "gcd": "some may be of known classes",
        },
    ),
    Setting("seed", "Seed of all randomness"),
    Setting("k.max", "Largest number of new classes"),
    Setting("k.index", "What finds the number", {name: name for name in (JUDGE, *INDEX_SIGNS)}),
    Setting("search.candidates", "Hyperparameter candidates to try"),
    Setting("search.folds", "Times some known classes are hidden"),
    Setting("train.epochs", "Passes over all rows"),
    Setting("train.batch_size", "Rows in a step"),
    Setting("train.refits", "Trainings of the best"),
)
_AT_ONCE = 3
"""Settings that are not folded up."""


def command_line(run: Run) -> str:
    """The command that makes a run, as somebody would type it."""
    return shlex.join(["python", "-m", "ncd_jax", *run.flags()])


def _settings_of_form(plan: Plan, form: Form) -> Plan:
    """The plan with the settings of a form, checked as the command would.

    Raises:
        UserError: a setting cannot be had.
    """
    settings = {}
    for each in SETTINGS:
        value = form.get(each.key, "").strip()
        if value and value != each.default:
            settings[each.key] = value
    for line in filter(None, map(str.strip, re.split(r"[\r\n]+", form.get("others", "")))):
        found = re.fullmatch(r"(?:--)?config\.([\w.]+)=(.*)", line)
        if found is None:
            raise UserError(f"{line!r} is no setting; write --config.KEY=VALUE, one on a line")
        settings[found[1]] = found[2]
    changed = dataclasses.replace(plan, settings=settings)
    changed.config()
    return changed


def _others(plan: Plan) -> str:
    keys = {each.key for each in SETTINGS}
    said = [f"--config.{key}={value}" for key, value in plan.settings.items() if key not in keys]
    return "\n".join(said)


def page(request: Request, error: str = "", _: Form | None = None) -> Response:
    """The screen, or the part of it that moves."""
    run = run_of(request)
    plan, console, word = run.plan, run.console, progress_in_a_word(run, desk_of(request).jobs)
    found, notes = steps(console)
    screen = show(
        request,
        "progress" if request.query_params.get("part") else "run",
        run,
        screen="run",
        plan=plan,
        word=word,
        steps=found,
        notes=notes,
        said=complaint(console) if word in ("refused", "failed") else "",
        settings=SETTINGS,
        at_once=_AT_ONCE,
        others=_others(plan) if plan else "",
        command=command_line(run) if plan else "",
        error=error,
    )
    screen.headers["x-word"] = word
    return screen


def change(request: Request, form: Form) -> str:
    """Starts, stops, or goes on, with the settings of the form."""
    run, desk = run_of(request), desk_of(request)
    plan = run.plan
    if "stop" in form:
        desk.jobs.stop(run.name)
    elif plan is not None:
        changed = plan if "go-on" in form else _settings_of_form(plan, form)
        if changed != plan and (run.is_begun or desk.jobs.state(run.name)):
            run = desk.folder.sibling(run)
        if not changed.label:
            return f"/runs/{run.name}/table"
        run.save(changed)
        if not run.is_done:
            desk.jobs.start(run)
    return f"/runs/{run.name}/run"


ROUTES = [
    Route("/runs/{name}/run", page),
    Route("/runs/{name}/run", posted(change, page), methods=["POST"]),
]
