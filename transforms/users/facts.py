"""What is known of a user, as leaves, journeys and conditions ask it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from transforms.campaigns.part import Lost, Part, Piece, PieceGroup
from transforms.campaigns.policies import Policies
from transforms.identity.profile import Profile
from transforms.identity.zones import known_zone
from transforms.segments.leaf_facts import CONSENT, REACHABLE, ZONE_NAMES
from transforms.users.user import ANONYMOUS, User

if TYPE_CHECKING:
    from transforms.users.editor import UserEditor

__all__ = ["KnownProfile", "ProfileFacts", "zone_of"]

#: What of a profile can be dropped, with the fact that changes then (None: the attribute itself).
_DROPPED = (
    ("attributes", PieceGroup.FACTS, None),
    ("tokens", PieceGroup.FACTS, REACHABLE),
    ("consent", PieceGroup.GUARDS, CONSENT),
    ("blocked", PieceGroup.GUARDS, REACHABLE),
)


class KnownProfile(Part):
    """A profile, being changed. `zone` caches the zone that was found in it; code that changes the profile sets it to
    None.
    """

    fields = ("profile",)
    __slots__ = ("profile", "zone")

    def __init__(self, profile: Profile) -> None:
        self.profile = profile.copy()
        self.zone: str | None = None

    def join(self, theirs: User, user: "UserEditor", _arrival: int) -> None:
        """What both know; of each fact the last writer."""
        user.leaves.changed += user.leaves.update_facts(self.profile.join(theirs.profile), user)

    def pieces(self, _clock: int) -> Iterator[Piece]:
        """Each attribute, token, consent and blocked mailbox."""
        for kind, group, _ in _DROPPED:
            for name, written in getattr(self.profile, kind).items():
                yield Piece.of(written[0], group, kind, name, name, written)

    def drop(self, lost: Lost, user: "UserEditor") -> None:
        """Forget some facts."""
        facts = set[str]()
        for kind, _, fact in _DROPPED:
            for name in lost[kind]:
                del getattr(self.profile, kind)[name]
                facts.add(fact or name)
        user.leaves.changed += user.leaves.update_facts(facts, user)


class ProfileFacts:
    """A user as known by a profile."""

    __slots__ = ()

    id: str
    known: KnownProfile
    policies: Policies

    @property
    def profile(self) -> Profile:
        """What is known."""
        return self.known.profile

    @property
    def zone(self) -> str:
        """The zone that the user said, else the policy's."""
        known = self.known
        if known.zone is None:
            known.zone = zone_of(known.profile, self.policies.default_zone)
        return known.zone

    def value(self, name: str) -> object:
        """An attribute's value or None."""
        return self.profile.value(name)

    def is_identified(self) -> bool:
        """Whether this is a user with a user id."""
        return not self.id.startswith(ANONYMOUS)

    def addresses(self, channel: str) -> Sequence[str]:
        """The live addresses on a channel, the best first."""
        user = self.id if self.is_identified() else ""
        return self.profile.addresses(channel, user=user, region=self.policies.default_region)

    def is_reachable(self, channel: str) -> bool:
        """Whether there is a live address for the channel."""
        return bool(self.addresses(channel))

    def is_consented(self, topic: str, channel: str) -> bool:
        """Whether a topic may use a channel."""
        return self.profile.consented(topic, channel)

    def is_denied(self, topic: str, channel: str) -> bool:
        """Whether a topic was denied a channel, which unset consent is not."""
        return self.profile.denied(topic, channel)


def zone_of(profile: Profile, default: str) -> str:
    """Trait `timezone`, else the newest `context.timezone`, else `default`; unknown names are passed over."""
    named = [profile.value(name) for name in ZONE_NAMES]
    return str(next((name for name in named if known_zone(name)), default))
