"""Sharing one thing: links that need no sign-in and can be revoked, things shown to all, and the account page.

A link shows one picture, or one comparison's report, to whoever has its address. What must stay true: only who owns a
thing, or the owner of the app, hands out a link to it; a link shows nothing else, and nothing once it is revoked.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from pixart_ui.access import viewer
from pixart_ui.access.gate import Door, Mode
from pixart_ui.access.http import NEVER
from pixart_ui.access.limits import limits_of
from pixart_ui.access.store import Kind, Link, Store
from pixart_ui.access.users import Users
from pixart_ui.errors import PixArtError
from pixart_ui.gallery.plain import plain
from pixart_ui.services import Services
from pixart_ui.ui import compare_routes
from pixart_ui.ui.plain_page import answer
from pixart_ui.ui.routes import file_named
from pixart_ui.ui.words import access as words

Answer = Callable[[Request], Response]
SHARED_KINDS = {str(Kind.PICTURE): Kind.PICTURE, str(Kind.COMPARISON): Kind.COMPARISON}


def sharing_routes(services: Services, door: Door) -> list[BaseRoute]:
    """None where nobody signs in."""
    if door.mode is not Mode.SHARED or door.store is None:
        return []
    pages = Sharing(services, door.store, door.users)
    return [
        Route("/account", pages.account),
        Route("/share/{kind}/{target}", pages.page),
        Route("/share/{kind}/{target}/link", pages.make_link, methods=["POST"]),
        Route("/share/{kind}/{target}/{state}", pages.to_all, methods=["POST"]),
        Route("/links/{id:int}/revoke", pages.revoke, methods=["POST"]),
        Route("/link/{token}", pages.shown),
        Route("/link/{token}/picture.png", pages.picture),
        Route("/link/{token}/report.html", pages.report),
    ]


class Sharing:
    """The handlers; each is called in a thread, as whoever asks."""

    def __init__(self, services: Services, store: Store, users: Users) -> None:
        self._services = services
        self._store = store
        self._users = users
        self._maker = compare_routes.Maker()

    def account(self, _: Request) -> Response:
        asking = viewer.current()
        limits = limits_of(asking)
        told = f"<p>{escape(words.YOU_ARE.format(name=asking.name))} {words.ROLES[asking.role]}</p>"
        if limits is not None:
            numbers = {"side": limits.side, "steps": limits.steps, "jobs": limits.open_jobs}
            told += f"<p>{words.LIMITS.format(pictures=limits.pictures_an_hour, **numbers)}</p>"
        links = "".join(map(_line, self._store.links(asking.only)))
        listed = f"<ul>{links}</ul>" if links else f'<p class="quiet">{words.NO_LINKS}</p>'
        out = f'<form method="post" action="/logout"><button class="quiet">{words.SIGN_OUT}</button></form>'
        back = f'<a class="button" href="/">{words.BACK}</a>'
        inner = f'<h1>{words.ACCOUNT}</h1>{told}<div class="actions">{back}{out}</div><h2>{words.LINKS}</h2>{listed}'
        return answer(words.ACCOUNT, inner)

    def page(self, request: Request) -> Response:
        kind, target = self._own(request)
        return self._page(kind, target) if kind is not None else _not_found()

    def make_link(self, request: Request) -> Response:
        kind, target = self._own(request)
        if kind is None:
            return _not_found()
        token = self._store.add_link(kind, target, viewer.current().name)
        address = str(request.url.replace(path=f"/link/{token}", query=""))
        return self._page(kind, target, f"<p>{words.LINK_MADE}</p><code>{escape(address)}</code>")

    def to_all(self, request: Request) -> Response:
        """Only for the owner of the app: `all` shows it to everybody who signs in, `own` to nobody else any more."""
        kind, target = self._own(request)
        state = request.path_params["state"]
        if kind is None or not viewer.current().is_owner or state not in ("all", "own"):
            return _not_found()
        self._store.share(kind, target, is_shared=state == "all")
        return RedirectResponse(_address(kind, target), status_code=303, headers=NEVER)

    def revoke(self, request: Request) -> Response:
        if not self._store.revoke(request.path_params["id"], viewer.current().only):
            return _not_found()
        return RedirectResponse("/account", status_code=303, headers=NEVER)

    def shown(self, request: Request) -> Response:
        """What somebody with a link sees."""
        link, token = self._link(request)
        if link is None:
            return _gone()
        if link.kind is Kind.COMPARISON:
            return RedirectResponse(f"/link/{token}/report.html", status_code=303, headers=NEVER)
        picture = self._services.journal.picture_named(link.target)
        if picture is None or self._file(link) is None:
            return _gone()
        source = f"/link/{token}/picture.png"
        inner = (
            f'<p><img src="{source}" alt="{escape(picture.prompt)}" width="{picture.width}" height="{picture.height}">'
            f'</p><p>{escape(picture.prompt)}</p><div class="actions">'
            f'<a class="button" href="{source}" download="{escape(picture.name)}">{words.DOWNLOAD}</a></div>'
        )
        return answer(words.TITLE, inner)

    def picture(self, request: Request) -> Response:
        """Without what is written into it."""
        link, _ = self._link(request)
        path = self._file(link) if link is not None and link.kind is Kind.PICTURE else None
        if path is None:
            return _gone()
        try:
            return Response(plain(path.read_bytes()), media_type="image/png", headers=NEVER)
        except (OSError, ValueError):
            return _gone()

    def report(self, request: Request) -> Response:
        link, _ = self._link(request)
        if link is None or link.kind is not Kind.COMPARISON:
            return _gone()
        try:
            kept = self._services.kept_comparisons
            content = self._maker.html(kept.open(link.target), kept.folder(link.target))
        except PixArtError:
            return _gone()
        headers = {**NEVER, "Content-Security-Policy": compare_routes.SANDBOX}
        return Response(content, media_type="text/html; charset=utf-8", headers=headers)

    def _own(self, request: Request) -> tuple[Kind | None, str]:
        """What the address names, if it is theirs who asks, or they are the owner of the app."""
        kind, target = SHARED_KINDS.get(request.path_params["kind"]), request.path_params["target"]
        asking = viewer.current()
        if kind is Kind.PICTURE:
            picture = self._services.journal.picture_named(target)
            return (kind if picture is not None and asking.may_see(picture.owner) else None), target
        if kind is Kind.COMPARISON:
            try:
                owner = self._services.kept_comparisons.owner(target)
            except PixArtError:
                return None, target
            return (kind if asking.may_see(owner) else None), target
        return None, target

    def _page(self, kind: Kind, target: str, made: str = "") -> Response:
        title = words.SHARE_PICTURE if kind is Kind.PICTURE else words.SHARE_COMPARISON
        address = _address(kind, target)
        shown = f'<p><img src="/thumbnails/{quote(target)}" alt=""></p>' if kind is Kind.PICTURE else ""
        form = f'<form method="post" action="{address}/link"><button>{words.MAKE_LINK}</button></form>'
        inner = f"<h1>{title}</h1>{shown}<p>{words.SHARE_INTRO}</p>{made}{form}"
        if viewer.current().is_owner:
            inner += self._for_all(kind, target, address)
        links = [
            link for link in self._store.links(viewer.current().only) if (link.kind, link.target) == (kind, target)
        ]
        if links:
            inner += f"<h2>{words.LINKS}</h2><ul>{''.join(map(_line, links))}</ul>"
        return answer(title, inner)

    def _for_all(self, kind: Kind, target: str, address: str) -> str:
        is_shared = target in self._services.journal.shared(kind)
        told, label, state = (
            (words.TO_ALL_INTRO, words.NOT_TO_ALL, "own")
            if is_shared
            else (words.NOT_TO_ALL_INTRO, words.TO_ALL, "all")
        )
        return (
            f"<h2>{words.EVERYBODY}</h2><p>{told}</p>"
            f'<form method="post" action="{address}/{state}"><button class="quiet">{label}</button></form>'
        )

    def _link(self, request: Request) -> tuple[Link | None, str]:
        """Nothing is handed out any more by somebody who may not sign in any more."""
        token = request.path_params["token"]
        link = self._store.link(token)
        return link if link is not None and self._users.get(link.owner) is not None else None, quote(token, safe="")

    def _file(self, link: Link) -> Path | None:
        return file_named(self._services.settings.images_dir, link.target)


def _address(kind: Kind, target: str) -> str:
    return f"/share/{kind}/{quote(target, safe='')}"


def _line(link: Link) -> str:
    until = datetime.fromtimestamp(link.expires_at, UTC).strftime("%d %B %Y, %H:%M UTC")
    what = words.LINK_LINE.format(what=f"{link.kind} {link.target}", owner=link.owner, until=until)
    form = f'<form method="post" action="/links/{link.id}/revoke"><button class="quiet">{words.REVOKE}</button></form>'
    return f"<li><span>{escape(what)}</span>{form}</li>"


def _gone() -> Response:
    return answer(words.TITLE, f"<h1>{words.TITLE}</h1><p>{words.GONE}</p>", 404, is_wide=False)


def _not_found() -> Response:
    return PlainTextResponse("Not found", status_code=404, headers=NEVER)
