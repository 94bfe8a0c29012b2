"""`/p/…`: the page on which somebody chooses topics by channel. It works without scripts."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from services.engage.choices import Choices, Pair, changed, choices_of, denial
from services.engage.desk import Desk
from services.engage.forms import read_form
from services.engage.link_rates import OFTEN, LinkRates
from services.engage.openapi import problem
from services.engage.pages.pages import notice, page
from services.engage.pages.words import WORDS, in_words, language_of, locales_of
from services.engage.unsubscribing import bad_link, channel_name
from services.problems import HttpProblem
from transforms.campaigns.load import Definitions
from transforms.channels.links import PREFERENCES, PreferencesLink, address_digest
from transforms.channels.tokens import BadToken
from transforms.events.consent import EVERY_TOPIC
from transforms.identity.channels import REGION, TOKENS, USER, channels
from transforms.segments.values import HOUR
from transforms.storage.reader import Reader

__all__ = ["FORM_AGE", "PREFERENCES_PATHS", "preferences_routes"]

#: For how long a page may be open before it is saved.
FORM_AGE = 2 * HOUR
_FORM = "form"
#: How often the page of one link is saved: so many times at once.
AT_ONCE = 20
#: Merges that are followed.
_MERGES = 20


class _Shown(msgspec.Struct, frozen=True, array_like=True):
    """What a page showed, and to whom."""

    user: str
    choices: Choices


def preferences_routes(desk: Desk) -> Sequence[Route]:
    """The routes over a desk."""
    rates = LinkRates(AT_ONCE, desk.clock)

    async def show(request: Request) -> Response:
        link, definitions = _read(request, desk), desk.definitions()
        found = await desk.view.ask(lambda reader: _profile(reader, link.send.user))
        if not _is_theirs(link, found, definitions):
            return _notice(request, definitions, "other", 410)
        return _page(request, desk, link, choices_of(definitions, found.get("consent", {})), found, saved=False)

    async def save(request: Request) -> Response:
        link, definitions = _read(request, desk), desk.definitions()
        _check_same_origin(request, desk.access.url)
        rates.take(request.path_params["token"])
        found = await desk.view.ask(lambda reader: _profile(reader, link.send.user))
        if not _is_theirs(link, found, definitions):
            return _notice(request, definitions, "other", 410)
        form = await read_form(request)
        shown = _shown(form.get("form", [""])[0], link, desk)
        if shown is None:
            return _notice(request, definitions, "old", 400)
        if "none" in form:
            named = sorted({channel for _, channel in shown.pairs()})
            receipts = denial(link.send, [(EVERY_TOPIC, channel) for channel in named], desk.clock())
            wanted: set[Pair] = set()
        else:
            wanted = {pair for pair in shown.pairs() if "/".join(pair) in form.get("granted", [])}
            receipts = changed(shown, wanted, link.send, desk.clock())
            named = [channel for channel in shown.closed if not any(channel == each for _, each in wanted)]
        if receipts:
            await desk.receive(receipts)
        now = {topic: {each: (topic, each) in wanted for each in by} for topic, by in shown.granted.items()}
        return _page(request, desk, link, Choices(now, tuple(named)), found, saved=True)

    path = f"/{PREFERENCES}/{{token}}"
    return [Route(path, show, methods=["GET"]), Route(path, save, methods=["POST"])]


def _read(request: Request, desk: Desk) -> PreferencesLink:
    try:
        return desk.keys.unseal(PREFERENCES, request.path_params["token"], PreferencesLink)
    except BadToken:
        raise bad_link() from None


def _check_same_origin(request: Request, url: str) -> None:
    """Refuse what the form of another site sends, though it would have to know the link.

    A browser says itself what site a form is of, or, an older one, of what origin its page is. Then that is the asked
    host or, behind a proxy that says another one, that of the links (`url`).

    Raises:
      HttpProblem: 403.
    """
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is None:
        ours = {_host(url), request.headers.get("host", "")} - {""}
        is_ours = origin is None or _host(origin) in ours
    else:
        is_ours = site == "same-origin"
    if not is_ours:
        raise HttpProblem(403, "origin", "another site sent this form")


def _host(url: str) -> str:
    """What stands between `//` and the path, with the port."""
    return url.partition("://")[2].partition("/")[0]


def _shown(token: str, link: PreferencesLink, desk: Desk) -> Choices | None:
    """What the page showed; None where its form is not ours, is somebody else's, or too old."""
    try:
        shown = desk.keys.read(_FORM, token, _Shown, now=desk.clock())
    except BadToken:
        return None
    return shown.choices if shown.user == link.send.user else None


def _profile(reader: Reader, user: str) -> dict[str, Any]:
    """What is known of a user now, or of whoever has taken them over; empty where there is nobody."""
    for _ in range(_MERGES):
        row = reader.read_users([user]).get(user)
        found: dict[str, Any] = {} if row is None else msgspec.json.decode(row.profile)
        if "owner" not in found:
            return {} if "deleted" in found and "known_since" not in found else found
        user = found["owner"]
    return {}


def _is_theirs(link: PreferencesLink, found: Mapping[str, Any], definitions: Definitions) -> bool:
    """Whether the address that the link went to is still one of the user's."""
    declared = channels().get(link.send.channel)
    if declared is None or "attributes" not in found:
        return False
    known = {TOKENS: found.get("tokens", []), USER: found["user"], REGION: definitions.policies.default_region}
    attributes = found["attributes"]
    facts = {name: known[name] if name in known else _text(attributes.get(name)) for name in declared.reads}
    return any(address_digest(declared.name, each) == link.address for each in declared.addresses(facts))


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _locales(request: Request, definitions: Definitions, found: Mapping[str, Any]) -> list[str]:
    attributes = found.get("attributes", {})
    user = _text(attributes.get("locale")) or _text(attributes.get("context.locale"))
    return locales_of(request.headers.get("accept-language", ""), user, definitions.policies.default_locale)


def _page(
    request: Request, desk: Desk, link: PreferencesLink, choices: Choices, found: Mapping[str, Any], *, saved: bool
) -> Response:
    definitions = desk.definitions()
    policy, locales = definitions.policies.preferences, _locales(request, definitions, found)
    ends = desk.clock() + FORM_AGE
    topics = []
    for topic, by_channel in choices.granted.items():
        known = policy.topics.get(topic)
        shown = [
            {"name": channel_name(definitions, channel, locales), "value": f"{topic}/{channel}", "granted": granted}
            for channel, granted in by_channel.items()
        ]
        name = in_words(known.name if known else None, locales, topic)
        topics.append({"name": name, "about": in_words(known.about if known else None, locales, ""), "channels": shown})
    scope = {
        "locale": language_of(locales),
        "words": WORDS[language_of(locales)],
        "topics": topics,
        "saved": saved,
        "form": desk.keys.sign(_FORM, _Shown(link.send.user, choices), ends=ends),
    }
    own = policy.template
    source = None if own is None else in_words(own, locales, "")
    return page(scope, "preferences", source, own.partials if own is not None else ())


def _notice(request: Request, definitions: Definitions, what: str, status: int) -> Response:
    language = language_of(_locales(request, definitions, {}))
    words = WORDS[language]
    return notice(words[f"{what}_title"], words[what], language, status=status)


_html = {"content": {"text/html": {"schema": {"type": "string"}}}}
_answers = {
    "404": problem("No such link."),
    "410": {"description": "The link went to an address that is no longer the user's.", **_html},
    "503": problem("The store does not answer, or nothing can be made durable. Retry-After says when to come again."),
}
_fields = {"form": {"type": "string"}, "granted": {"type": "array", "items": {"type": "string"}}}
PREFERENCES_PATHS: dict[str, Any] = {
    f"/{PREFERENCES}/{{token}}": {
        "parameters": [{"name": "token", "in": "path", "required": True, "schema": {"type": "string", "minLength": 1}}],
        "get": {
            "summary": "The page on which somebody chooses topics",
            "responses": {"200": {"description": "The page.", **_html}, **_answers},
        },
        "post": {
            "summary": "Save what was chosen",
            "requestBody": {
                "required": True,
                "content": {"application/x-www-form-urlencoded": {"schema": {"type": "object", "properties": _fields}}},
            },
            "responses": {
                "200": {"description": "The page, with what was chosen.", **_html},
                "400": {"description": "The form is too old, or none of this page.", **_html},
                "403": problem("Another site sent this form."),
                "408": problem("The body took too long to come."),
                "413": problem("The form is too large."),
                "429": problem(OFTEN),
                **_answers,
            },
        },
    }
}
