"""`/u/…`: leaving a topic by one POST (RFC 8058). A GET shows a page with one button, and changes nothing."""

from collections.abc import Mapping, Sequence
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.engage.choices import denial
from services.engage.desk import Desk
from services.engage.forms import read_form
from services.engage.link_rates import OFTEN, LinkRates
from services.engage.openapi import problem
from services.engage.pages.pages import notice
from services.engage.pages.words import WORDS, in_words, language_of, locales_of
from services.engage.tracking.taking import TouchTaker
from services.engage.tracking.touches import VISITED
from services.problems import HttpProblem
from transforms.campaigns.load import Definitions
from transforms.channels.links import PREFERENCES, UNSUBSCRIBE, PreferencesLink, UnsubscribeLink
from transforms.channels.tokens import BadToken
from transforms.events.consent import EVERY_TOPIC

__all__ = ["ONE_CLICK", "UNSUBSCRIBE_PATHS", "bad_link", "channel_name", "unsubscribe_routes"]

#: The field that a mail provider sends, and its value (RFC 8058, 3.2).
ONE_CLICK = ("List-Unsubscribe", "One-Click")
#: How often one link is taken at once.
AT_ONCE = 5


def unsubscribe_routes(desk: Desk) -> Sequence[Route]:
    """The routes over a desk."""
    rates = LinkRates(AT_ONCE, desk.clock)
    touches = TouchTaker(desk)

    async def show(request: Request) -> Response:
        link = _read(request, desk)
        await touches.note(request, VISITED, link.send)
        return _page(request, desk, link, "leave", button=True)

    async def leave(request: Request) -> Response:
        link = _read(request, desk)
        form = await read_form(request)
        if ONE_CLICK[1] not in form.get(ONE_CLICK[0], []):
            raise HttpProblem(400, "not_one_click", "the body must be List-Unsubscribe=One-Click")
        rates.take(request.path_params["token"])
        await desk.receive(denial(link.send, [(link.topic, link.send.channel)], desk.clock()))
        return _page(request, desk, link, "left", button=False)

    path = f"/{UNSUBSCRIBE}/{{token}}"
    return [Route(path, show, methods=["GET"]), Route(path, leave, methods=["POST"])]


def _read(request: Request, desk: Desk) -> UnsubscribeLink:
    try:
        return desk.keys.unseal(UNSUBSCRIBE, request.path_params["token"], UnsubscribeLink)
    except BadToken:
        raise bad_link() from None


def bad_link() -> HttpProblem:
    """404: nobody learns whether a link was, or is of somebody."""
    return HttpProblem(404, "no_such_link", "this link was not made here, or is cut off")


def _page(request: Request, desk: Desk, link: UnsubscribeLink, what: str, *, button: bool) -> Response:
    definitions = desk.definitions()
    policies = definitions.policies
    # Beside this page, wherever the service is mounted.
    more = f"../{PREFERENCES}/{desk.keys.seal(PREFERENCES, PreferencesLink(link.send, link.address))}"
    locales = locales_of(request.headers.get("accept-language", ""), policies.default_locale)
    language = language_of(locales)
    words, topic = WORDS[language], link.topic
    known = policies.preferences.topics.get(topic)
    said = {
        "topic": in_words(known.name if known else None, locales, topic),
        "channel": channel_name(definitions, link.send.channel, locales),
    }
    text = words[f"{what}_all" if topic == EVERY_TOPIC else what]
    word = words["leave_button"] if button else ""
    return notice(words[f"{what}_title"], _filled(text, said), language, button=word, more=(more, words["more"]))


def _filled(text: str, said: Mapping[str, str]) -> str:
    """A sentence with what it speaks of; a name that looks like a place of another stays as it is."""
    parts = [piece.partition("}") for piece in text.split("{")]
    return parts[0][0] + "".join(said[name] + rest for name, _, rest in parts[1:])


def channel_name(definitions: Definitions, channel: str, locales: Sequence[str]) -> str:
    """How a channel is called: by the policy, else by us, else by its own name."""
    own = definitions.policies.preferences.channels.get(channel)
    return in_words(own, locales, WORDS[language_of(locales)].get(channel, channel))


_TOKEN: dict[str, Any] = {"name": "token", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}
_html = {"content": {"text/html": {"schema": {"type": "string"}}}}
_form = {"type": "object", "properties": {ONE_CLICK[0]: {"const": ONE_CLICK[1]}}, "required": [ONE_CLICK[0]]}
UNSUBSCRIBE_PATHS: dict[str, Any] = {
    f"/{UNSUBSCRIBE}/{{token}}": {
        "parameters": [_TOKEN],
        "get": {
            "summary": "A page with one button; it changes nothing",
            "responses": {"200": {"description": "The page.", **_html}, "404": problem("No such link.")},
        },
        "post": {
            "summary": "Leave the topic (RFC 8058)",
            "requestBody": {
                "required": True,
                "content": {
                    "application/x-www-form-urlencoded": {"schema": _form},
                    "multipart/form-data": {"schema": _form},
                },
            },
            "responses": {
                "200": {"description": "The topic is denied.", **_html},
                "400": problem("The body is something else."),
                "404": problem("No such link."),
                "408": problem("The body took too long to come."),
                "413": problem("The body is too large."),
                "429": problem(OFTEN),
                "503": problem("Nothing can be made durable now. Retry-After says when to come again."),
            },
        },
    }
}
