"""`/c/…` and `/o/…`: links that are counted, and the picture of a mail. Nobody is sent where no message led."""

from collections.abc import Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.collect.answers import GIF
from services.engage.desk import Desk
from services.engage.openapi import problem
from services.engage.tracking.taking import TouchTaker
from services.engage.tracking.touches import CLICKED, OPENED
from services.engage.unsubscribing import bad_link
from transforms.channels.links import CLICK, OPEN, ClickLink, OpenLink
from transforms.channels.tokens import BadToken
from transforms.messages.hrefs import is_followed

__all__ = ["TRACKING_PATHS", "tracking_routes"]

_HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer", "X-Robots-Tag": "noindex, nofollow"}


def tracking_routes(desk: Desk) -> Sequence[Route]:
    """The routes over a desk."""
    touches = TouchTaker(desk)

    async def click(request: Request) -> Response:
        try:
            link = desk.keys.unseal(CLICK, request.path_params["token"], ClickLink)
        except BadToken:
            raise bad_link() from None
        if not is_followed(link.target, desk.definitions().policies.tracking.schemes):
            raise bad_link()
        await touches.note(request, CLICKED, link.send, link.link, link.of)
        return Response(status_code=302, headers={**_HEADERS, "Location": link.target})

    async def show(request: Request) -> Response:
        try:
            link = desk.keys.unseal(OPEN, request.path_params["token"], OpenLink)
        except BadToken:
            raise bad_link() from None
        await touches.note(request, OPENED, link.send)
        return Response(GIF, media_type="image/gif", headers=_HEADERS)

    return [
        Route(f"/{CLICK}/{{token}}", click, methods=["GET"]),
        Route(f"/{OPEN}/{{token}}", show, methods=["GET"]),
    ]


_TOKEN: list[dict[str, Any]] = [
    {"name": "token", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
]
TRACKING_PATHS: dict[str, Any] = {
    f"/{CLICK}/{{token}}": {
        "parameters": _TOKEN,
        "get": {
            "summary": "A link of a message",
            "responses": {
                "302": {
                    "description": "Where the link leads. The click is durable.",
                    "headers": {"Location": {"required": True, "schema": {"type": "string"}}},
                },
                "404": problem("No such link. Nobody is sent anywhere."),
            },
        },
    },
    f"/{OPEN}/{{token}}": {
        "parameters": _TOKEN,
        "get": {
            "summary": "The picture of a mail",
            "responses": {
                "200": {"description": "A picture of one point.", "content": {"image/gif": {}}},
                "404": problem("No such picture."),
            },
        },
    },
}
