"""What all screens work with: the folder, the jobs, and the runs that are open."""

from dataclasses import dataclass, field
from typing import cast

from starlette.requests import Request

from ncd_jax.app.folder import Folder, Run
from ncd_jax.app.jobs import Jobs
from ncd_jax.app.opened import OpenedRuns
from ncd_jax.errors import UserError

__all__ = ["Desk", "NoSuchRunError", "desk_of", "run_of"]


class NoSuchRunError(UserError):
    """There is no run of this name in the folder."""


@dataclass(frozen=True)
class Desk:
    """One for the whole program.

    Attributes:
        folder: of the runs.
        jobs: those that are running or wait.
        opened: finished runs in memory.
    """

    folder: Folder
    jobs: Jobs = field(default_factory=Jobs)
    opened: OpenedRuns = field(default_factory=OpenedRuns)


def desk_of(request: Request) -> Desk:
    """The one of the program that got the request."""
    return cast(Desk, request.app.state.desk)


def run_of(request: Request) -> Run:
    """The run that an address names.

    Raises:
        NoSuchRunError: there is none.
    """
    name = request.path_params["name"]
    run = desk_of(request).folder.find(name)
    if run is None:
        raise NoSuchRunError(f"there is no run {name!r} in this folder; choose one of the list")
    return run
