"""What is known about a user: attributes, contacts and consent, each kept by its last writer."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from transforms.events.consent import CONSENT_CHANGED, EVERY_TOPIC, folded_topic, read_consent
from transforms.events.event import GROUP, RECEIPT, SET, TOKEN_LOST, Event
from transforms.identity.channels import REGION, TOKENS, USER, channels
from transforms.identity.zones import known_zone

__all__ = [
    "CONTEXT_NAMES",
    "FOLLOWED",
    "GONE",
    "GROUP_ID",
    "GROUP_TRAITS",
    "KNOWN_ZONE",
    "RESERVED",
    "UNFOLLOWED",
    "Profile",
    "Written",
    "newest",
]

_CONTEXT = ("locale", "timezone")
_CONTEXT_OF = {"app": ("version", "build"), "os": ("name", "version"), "device": ("type", "model")}

#: What is kept of an event's context, besides `context.location.*`.
CONTEXT_NAMES = (
    *(f"context.{name}" for name in _CONTEXT),
    *(f"context.{part}.{name}" for part, names in _CONTEXT_OF.items() for name in names),
)

#: The newest `context.timezone` that names a zone; kept apart, so that unknown names are passed over.
KNOWN_ZONE = "#zone"

#: What group calls set: the group's id, and each of its traits behind this.
GROUP_ID, GROUP_TRAITS = "group.id", "group.traits."

#: Prefixes that no trait can have, since other calls write there.
RESERVED = ("context.", "group.", "#")

#: The kinds of receipts by which an account may send to somebody, and may no more: see `Channel.follows`.
FOLLOWED, UNFOLLOWED = "followed", "unfollowed"

#: In place of the device's type: the token must not be used.
GONE = False

#: (time in microseconds UTC, message id, value). Of two writes, the one with the greater (time, message id) stands.
Written = tuple[int, str, Any]


def newest(one: Written | None, other: Written) -> Written:
    """The later of two writes: by time, then message id."""
    return other if one is None or (other[0], other[1]) > (one[0], one[1]) else one


class Profile(msgspec.Struct, array_like=True, gc=False):
    """Attributes, push tokens and consent.

    `attributes` holds traits by their top-level name, what `context` said under names such as `context.app.version`,
    and what group calls said under `group.id` and `group.traits.*`; a value of None is a deleted trait, which must be
    kept so that an older write does not bring it back. `tokens` maps a device token to (time, message id, device type),
    or to `GONE` in place of the type for one that is dead or somebody else's now. `consent` maps `topic/channel` to
    (time, message id, granted). `blocked` maps an address that must not be used, as its channel's `key` writes it, to
    (time, message id, reason).
    """

    attributes: dict[str, Written] = {}
    tokens: dict[str, Written] = {}
    consent: dict[str, Written] = {}
    blocked: dict[str, Written] = {}

    def copy(self) -> "Profile":
        """A profile that can be changed without touching this one."""
        return Profile(dict(self.attributes), dict(self.tokens), dict(self.consent), dict(self.blocked))

    def apply(self, event: Event) -> list[str]:
        """Apply what an event says about the user; returns the names of facts that may have changed.

        The names are those of attributes, `#reachable` and `#consent` (see `segments.index`).
        """
        changed: list[str] = []
        time, message = event.time, event.id
        if event.traits and event.type == "identify":
            for name, value in event.traits.items():
                if not name.startswith(RESERVED):
                    self._write(name, (time, message, value), changed)
        elif event.type == GROUP:
            self._write(GROUP_ID, (time, message, event.group), changed)
            for name, value in event.traits.items():
                self._write(f"{GROUP_TRAITS}{name}", (time, message, value), changed)
        if event.context:
            self._read_context(event, changed)
        if event.name == CONSENT_CHANGED and event.type == "track":
            self._read_consent(event, changed)
        if event.type == RECEIPT:
            self._read_receipt(event, changed)
        elif event.type == SET:
            changed += self.write(event.traits, (time, message))
        elif event.type == TOKEN_LOST and isinstance(token := event.properties.get("token"), str):
            changed += self.release(token, (time, message))
        return changed

    def write(self, values: Mapping[str, Any], stamp: tuple[int, str]) -> list[str]:
        """Set attributes as of a time, None to delete one; returns the names of those that changed."""
        changed: list[str] = []
        for name, value in values.items():
            self._write(name, (*stamp, value), changed)
        return changed

    def release(self, token: str, stamp: tuple[int, str]) -> list[str]:
        """Give up a token that was dead, or somebody else's, at a time; a later registration brings it back."""
        before = self.tokens.get(token)
        if before is None or before[:2] > stamp:
            return []
        self.tokens[token] = (*stamp, GONE)
        return ["#reachable"]

    def join(self, other: "Profile") -> list[str]:
        """Take over another profile; the last writer of each fact wins. Returns the facts that may have changed."""
        changed: list[str] = []
        for name, written in other.attributes.items():
            self._write(name, written, changed)
        for token, written in other.tokens.items():
            self.tokens[token] = newest(self.tokens.get(token), written)
            changed.append("#reachable")
        for key, written in other.consent.items():
            self.consent[key] = newest(self.consent.get(key), written)
            changed.append("#consent")
        for address, written in other.blocked.items():
            self.blocked[address] = newest(self.blocked.get(address), written)
            changed.append("#reachable")
        return changed

    def value(self, name: str) -> Any:
        """The value of an attribute, None where it has none."""
        written = self.attributes.get(name)
        return None if written is None else written[2]

    def values(self) -> dict[str, Any]:
        """Every attribute that has a value."""
        return {
            name: written[2]
            for name, written in self.attributes.items()
            if written[2] is not None and not name.startswith("#")
        }

    def live_tokens(self) -> list[str]:
        """The tokens that a push goes to, newest first."""
        live = [token for token, written in self.tokens.items() if written[2] is not GONE]
        return sorted(live, key=lambda token: self.tokens[token][:2], reverse=True)

    def addresses(self, channel: str, *, user: str = "", region: str = "") -> Sequence[str]:
        """The live addresses on a channel, the best first. `user` is the user id, empty for an anonymous user, and
        `region` the one of phone numbers that name none (see `transforms.identity.channels`).
        """
        declared = channels()[channel]
        found = declared.addresses({name: self._fact(name, user, region) for name in declared.reads})
        if self.blocked and (key := declared.key) is not None:
            return [address for address in found if address not in self.blocked and key(address) not in self.blocked]
        return found

    def _fact(self, name: str, user: str, region: str) -> Any:
        if name == TOKENS:
            return self.live_tokens()
        if name in (USER, REGION):
            return user if name == USER else region
        value = self.value(name)
        return value if isinstance(value, str) else None

    def consented(self, topic: str, channel: str) -> bool:
        """Whether a topic may use a channel: a denial of the whole channel first, then consent for the topic, then the
        default.
        """
        whole = self.consent.get(f"all/{channel}")
        if whole is not None and not whole[2]:
            return False
        said = self.consent.get(f"{topic}/{channel}")
        return channels()[channel].granted if said is None else bool(said[2])

    def denied(self, topic: str, channel: str) -> bool:
        """Whether the user said no, to the whole channel or to this topic on it. Unset consent is no denial."""
        said = self.consent.get(f"all/{channel}"), self.consent.get(f"{topic}/{channel}")
        return any(written is not None and not written[2] for written in said)

    def _write(self, name: str, written: Written, changed: list[str]) -> None:
        before = self.attributes.get(name)
        if before is None:
            self.attributes[name] = written
            if written[2] is not None:
                changed.append(name)
        elif (written[0], written[1]) > (before[0], before[1]):
            self.attributes[name] = written
            if written[2] != before[2] or written[2].__class__ is not before[2].__class__:
                changed.append(name)

    def _read_context(self, event: Event, changed: list[str]) -> None:
        context, stamp = event.context, (event.time, event.id)
        for name in _CONTEXT:
            if (value := context.get(name)) is not None:
                self._write(f"context.{name}", (*stamp, value), changed)
                if name == "timezone" and known_zone(value):
                    self._write(KNOWN_ZONE, (*stamp, value), changed)
        for part, names in _CONTEXT_OF.items():
            if isinstance(inner := context.get(part), dict):
                for name in names:
                    if (value := inner.get(name)) is not None:
                        self._write(f"context.{part}.{name}", (*stamp, value), changed)
        if isinstance(inner := context.get("location"), dict):
            for name, value in inner.items():
                if value is not None:
                    self._write(f"context.location.{name}", (*stamp, value), changed)
        if isinstance(device := context.get("device"), dict):
            token = device.get("token")
            if isinstance(token, str) and 0 < len(token) <= 4096:
                if token not in self.tokens or self.tokens[token][2] is GONE:
                    changed.append("#reachable")
                self.tokens[token] = newest(self.tokens.get(token), (*stamp, device.get("type")))

    def _read_consent(self, event: Event, changed: list[str]) -> None:
        try:
            topic, channel, granted = read_consent(event.properties)
        except ValueError:  # in archives that are older than this dead letter
            return
        key = f"{topic}/{channel}"
        self.consent[key] = newest(self.consent.get(key), (event.time, event.id, granted))
        changed.append("#consent")

    def _read_receipt(self, event: Event, changed: list[str]) -> None:
        """What a provider or a reader reports: a dead token, an address that must not be used, a denied topic."""
        said, stamp = event.properties, (event.time, event.id)
        kind, address, channel = said.get("kind"), said.get("address"), said.get("channel")
        if kind == "dead_token" and isinstance(address, str):
            changed += self.release(address, stamp)
        elif kind in ("bounced", "complained") and isinstance(address, str) and isinstance(channel, str):
            declared = channels().get(channel)  # nothing asks about a channel that is no longer installed
            if declared is not None and declared.key is not None:
                key = declared.key(address)
                self.blocked[key] = newest(self.blocked.get(key), (*stamp, kind))
                changed.append("#reachable")
        elif kind in ("unsubscribed", "resubscribed"):
            key = f"{folded_topic(said.get('topic') or '') or EVERY_TOPIC}/{channel}"
            self.consent[key] = newest(self.consent.get(key), (*stamp, kind == "resubscribed"))
            changed.append("#consent")
        elif kind in (FOLLOWED, UNFOLLOWED) and isinstance(address, str) and isinstance(channel, str):
            declared = channels().get(channel)
            if declared is not None and declared.follows is not None:
                changed += self.write(declared.follows.told(address, followed=kind == FOLLOWED), stamp)
