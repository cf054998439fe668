"""Who may come in: whoever knows the token, from this machine, and no other page of a browser.

A browser carries requests of any page to any address, and a name on the network may point at this
machine. So the name that is asked for must be this one (`Host`), and what changes something must
come from here (`Origin`). The token is in the address that the program prints; a cookie keeps it
from then on, so that addresses of screens are free of it.
"""

import secrets
from pathlib import Path
from urllib.parse import parse_qsl

from starlette.datastructures import ImmutableMultiDict, MutableHeaders
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from ncd_jax.errors import UserError

__all__ = ["CONTENT_POLICY", "REPORT_POLICY", "Form", "Guard", "read_form", "save_upload"]

Form = ImmutableMultiDict[str, str]
"""From field to what it says; `getlist` gives all of a field that is there several times."""
CONTENT_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline';"
    " img-src 'self' data: blob:; connect-src 'self'; frame-src 'self'; form-action 'self';"
    " frame-ancestors 'self'; base-uri 'none'"
)
"""Of our pages: no script but ours. Plotly writes its styles into the page."""
REPORT_POLICY = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline'; img-src data: blob:; frame-ancestors 'self'"
)
"""Of reports, which hold scripts of their own and may be of somebody else: no part of this site."""
MOST_BYTES = 1 << 29
"""Of a file that is brought here."""
_MOST_OF_A_FORM = 1 << 23
_HEADERS = {
    "content-security-policy": CONTENT_POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
"""Of all that does not say it otherwise."""
_STRANGER = (
    "This page is for who has its address with the token: open the one that the program printed.\n"
)


class Guard:
    """Refuses all that is not from here, before any other code sees it."""

    def __init__(self, app: ASGIApp, token: str, port: int) -> None:
        """Guards what is served at a port; the first address must hold the token."""
        self._app, self._token, self._port = app, token, port
        self._hosts = {f"{name}:{port}" for name in ("127.0.0.1", "localhost")}
        self._origins = {f"http://{host}" for host in self._hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answers a request, or lets it pass."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request = Request(scope, receive)
        if (refusal := self._refusal(request)) is not None:
            await refusal(scope, receive, send)
            return
        await self._app(scope, receive, _with_headers(send))

    def _refusal(self, request: Request) -> Response | None:
        if request.headers.get("host", "") not in self._hosts:
            return PlainTextResponse("This is served to 127.0.0.1 and no other name.\n", 421)
        origin = request.headers.get("origin")
        if origin is not None and origin not in self._origins:
            return PlainTextResponse("Another page may not ask for this.\n", 403)
        cookie = f"ncd_jax_{self._port}"
        if self._is_token(request.query_params.get("token", "")):
            there = RedirectResponse(request.url.path, 303)
            there.set_cookie(cookie, self._token, httponly=True, samesite="lax")
            return there
        if not self._is_token(request.cookies.get(cookie, "")):
            return PlainTextResponse(_STRANGER, 403)
        return None

    def _is_token(self, text: str) -> bool:
        return secrets.compare_digest(text.encode(), self._token.encode())


def _with_headers(send: Send) -> Send:
    async def sent(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            for name, value in _HEADERS.items():
                headers.setdefault(name, value)
        await send(message)

    return sent


async def read_form(request: Request) -> Form:
    """What a form says.

    Raises:
        UserError: it is more than any form of ours has to say.
    """
    body = bytearray()
    async for piece in request.stream():
        body += piece
        if len(body) > _MOST_OF_A_FORM:
            raise UserError("the form is too long; leave most of it out")
    text = body.decode("utf-8", errors="replace")
    return ImmutableMultiDict(parse_qsl(text, keep_blank_values=True, max_num_fields=200_000))


async def save_upload(request: Request, path: Path) -> None:
    """Writes what is sent into a file, whole or not at all.

    Raises:
        UserError: it is too large, empty, or cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part, n_bytes = path.with_name(f".{path.name}.part"), 0
    try:
        with part.open("wb") as file:
            async for piece in request.stream():
                n_bytes += len(piece)
                if n_bytes > MOST_BYTES:
                    raise UserError(
                        f"{path.name} has more than {MOST_BYTES >> 20} MB; give a table of this"
                        " size to the command line"
                    )
                file.write(piece)
        if not n_bytes:
            raise UserError(f"{path.name} is empty; choose another file")
        part.replace(path)
    except OSError as error:
        raise UserError(f"{path.name} cannot be kept ({error.strerror}); make room") from None
    finally:
        part.unlink(missing_ok=True)
