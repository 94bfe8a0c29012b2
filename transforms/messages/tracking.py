"""What is tracked of messages: `tracking:` of policies, campaigns and messages, and the parameters that links get."""

import re
from collections.abc import Mapping
from typing import Any

import msgspec

from transforms.segments.document import Node, Problems
from transforms.segments.schema import TEXT, Schema, mapping

__all__ = [
    "TRACKING_SCHEMA",
    "TRACKING_WORDS",
    "Tracking",
    "TrackingPolicy",
    "read_tracking",
    "read_tracking_policy",
    "tracking_policy_schema",
]

#: The names of parameters, without `utm_`, and what those hold of which nothing is said.
UTM = ("source", "medium", "campaign", "content", "term")
_UTM_DEFAULTS = {"medium": "{{ channel }}", "campaign": "{{ campaign }}"}
#: What the templates of parameters may name.
TRACKING_WORDS = ("campaign", "channel", "link", "message", "step", "variant")
#: A scheme of an app (RFC 3986, 3.1); those that run what stands in the link, or read files, are none.
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_NO_APPS = ("about", "blob", "data", "file", "ftp", "http", "https", "javascript", "mailto", "sms", "tel", "vbscript")


class Tracking(msgspec.Struct, frozen=True):
    """Whether opens and clicks are tracked; None where nothing is said of it."""

    opens: bool | None = None
    clicks: bool | None = None


class TrackingPolicy(msgspec.Struct, frozen=True):
    """What holds where campaigns and messages say nothing.

    `utm` are the templates of parameters that links to the web get, by name without `utm_`. `schemes` are those of
    apps, links of which are tracked like links to the web.
    """

    opens: bool = False
    clicks: bool = False
    utm: dict[str, str] = {}
    schemes: tuple[str, ...] = ()

    def but(self, said: Tracking | None) -> "TrackingPolicy":
        """The same, but for what is said elsewhere."""
        if said is None:
            return self
        opens = self.opens if said.opens is None else said.opens
        clicks = self.clicks if said.clicks is None else said.clicks
        return msgspec.structs.replace(self, opens=opens, clicks=clicks)

    @property
    def changes(self) -> bool:
        """Whether anything is done with links."""
        return self.opens or self.clicks or bool(self.utm)


def read_tracking(node: Node, problems: Problems) -> Tracking | None:
    """Read `{opens: …, clicks: …}`."""
    fields = problems.mapping(node, ("opens", "clicks"), instead="{opens: true, clicks: true}")
    return None if fields is None else Tracking(**_booleans(fields, problems))


def read_tracking_policy(node: Node, problems: Problems) -> TrackingPolicy | None:
    """Read the policy, which may say more."""
    keys = ("opens", "clicks", "utm", "schemes")
    fields = problems.mapping(node, keys, instead="{opens: true, clicks: true}")
    if fields is None:
        return None
    said: dict[str, Any] = {name: value for name, value in _booleans(fields, problems).items() if value is not None}
    if "utm" in fields:
        said["utm"] = _read_utm(fields["utm"], problems)
    if "schemes" in fields:
        found = [_read_scheme(item, problems) for item in problems.sequence(fields["schemes"], "schemes of apps") or ()]
        said["schemes"] = tuple(scheme for scheme in found if scheme is not None)
    return TrackingPolicy(**said)


def _booleans(fields: Mapping[str, Node], problems: Problems) -> dict[str, bool | None]:
    return {name: problems.boolean(fields[name]) for name in ("opens", "clicks") if name in fields}


def _read_utm(node: Node, problems: Problems) -> dict[str, str]:
    fields = problems.mapping(node, UTM, required=("source",), instead="{source: shop}") or {}
    read = {name: problems.text(child) for name, child in fields.items()}
    for name, text in read.items():
        if text is not None:
            _check(fields[name], text, problems)
    found = {name: text for name, text in read.items() if text is not None}
    return {name: {**_UTM_DEFAULTS, **found}[name] for name in UTM if name in found or name in _UTM_DEFAULTS}


def _check(node: Node, text: str, problems: Problems) -> None:
    from transforms.messages.liquid import mistakes, paths_of  # noqa: PLC0415 - Liquid is for the few that have it

    found = list(mistakes(text, TRACKING_WORDS))
    for mistake in found:
        problems.add(node, mistake.cause)
    for path in () if found else paths_of(text, ()):
        if path[0] not in TRACKING_WORDS:
            problems.add(node, f"`{path[0]}` is not known here; {', '.join(TRACKING_WORDS)} are")


def _read_scheme(node: Node, problems: Problems) -> str | None:
    scheme = problems.text(node)
    if scheme is None:
        return None
    if not _SCHEME.fullmatch(scheme) or scheme in _NO_APPS:
        problems.add(node, f"`{scheme}` is no scheme of an app, such as shop for shop://cart")
        return None
    return scheme


_SAYS = {
    "opens": {"type": "boolean", "description": "whether mails have a picture that says when it is shown"},
    "clicks": {"type": "boolean", "description": "whether links lead through the service that counts clicks"},
}
TRACKING_SCHEMA: Schema = mapping(dict(_SAYS))


def tracking_policy_schema() -> Schema:
    """The schema of the policy."""
    words = ", ".join(TRACKING_WORDS)
    scheme = {"type": "string", "pattern": f"^{_SCHEME.pattern}$", "not": {"enum": list(_NO_APPS)}}
    return mapping(
        {
            **_SAYS,
            "utm": {
                **mapping(dict.fromkeys(UTM, TEXT), ["source"]),
                "description": f"parameters that links to the web get; templates with {words}",
            },
            "schemes": {"type": "array", "minItems": 1, "items": scheme, "description": "of apps, such as shop"},
        }
    )
