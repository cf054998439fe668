"""The page as a program: screens put together, guarded, and served to this machine alone."""

import contextlib
import functools
import secrets
import socket
import threading
import webbrowser
from collections.abc import AsyncIterator
from importlib import resources
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from ncd_jax.app import (
    screen_answer,
    screen_ask,
    screen_keep,
    screen_later,
    screen_run,
    screen_start,
    screen_table,
)
from ncd_jax.app.desk import Desk, NoSuchRunError, desk_of, show
from ncd_jax.app.folder import Folder
from ncd_jax.app.guard import Guard
from ncd_jax.errors import UserError
from ncd_jax.report.templating import plotly_script

__all__ = ["make_app", "serve"]

_SCREENS = (
    screen_start,
    screen_table,
    screen_run,
    screen_answer,
    screen_ask,
    screen_keep,
    screen_later,
)
_TYPES = {".js": "text/javascript", ".css": "text/css"}


def make_app(desk: Desk, token: str, port: int) -> ASGIApp:
    """All screens behind the guard."""

    @contextlib.asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        yield
        desk.jobs.close()

    app = Starlette(
        routes=[
            Route("/static/{name}", asset),
            *(route for screen in _SCREENS for route in screen.ROUTES),
        ],
        exception_handlers={UserError: _mistake, HTTPException: _no_page, Exception: _fault},
        lifespan=lifespan,
    )
    app.state.desk = desk
    return Guard(app, token, port)


def asset(request: Request) -> Response:
    """A style or a script: ours, the report's styles, or Plotly's own."""
    name = request.path_params["name"]
    content = _asset(name)
    if content is None:
        return PlainTextResponse("There is no such file.\n", 404)
    # The browser asks again with every start of the program, as the port is another one.
    headers = {"cache-control": "private, max-age=86400"} if name == "plotly.js" else {}
    return Response(content, media_type=_TYPES[Path(name).suffix], headers=headers)


@functools.cache
def _asset(name: str) -> bytes | None:
    if name == "plotly.js":
        return plotly_script().encode()
    if name == "report.css":
        return resources.files("ncd_jax.report").joinpath("templates", name).read_bytes()
    folder = resources.files("ncd_jax.app").joinpath("static")
    if name not in {each.name for each in folder.iterdir()} or Path(name).suffix not in _TYPES:
        return None
    return folder.joinpath(name).read_bytes()


def _mistake(request: Request, error: Exception) -> Response:
    """What the command line would say in one line, on a page of its own."""
    if isinstance(error, NoSuchRunError):
        return show(request, "mistake", None, 404, screen="", error=str(error))
    run = desk_of(request).folder.find(request.path_params.get("name", ""))
    return show(request, "mistake", run, 422, screen="", error=str(error))


def _no_page(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    status, said = error.status_code, "there is no such page"
    return show(request, "mistake", None, status, screen="", error=said)


def _fault(request: Request, error: Exception) -> Response:
    """A fault of ours; the console has the rest of it."""
    said = f"this is a fault of the program ({type(error).__name__}); its console says where"
    return show(request, "mistake", None, 500, screen="", error=said)


def serve(root: Path, port: int, browser: bool) -> None:
    """Serves until it is interrupted; the first line that it prints is its address.

    A port of 0 is one that is free.

    Raises:
        UserError: the folder cannot be written, or the port is taken.
    """
    desk, token = Desk(Folder(root)), secrets.token_urlsafe(24)
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind(("127.0.0.1", port))
        listener.listen()  # who reads the address may come at once
    except (OSError, OverflowError) as error:
        raise UserError(f"--port={port} cannot be had ({error}); leave it out") from None
    port = listener.getsockname()[1]
    address = f"http://127.0.0.1:{port}/?token={token}"
    print(address, flush=True)
    config = uvicorn.Config(
        make_app(desk, token, port), log_level="warning", access_log=False, server_header=False
    )
    if browser:
        threading.Timer(0.3, webbrowser.open, (address,)).start()
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn.Server(config).run(sockets=[listener])
