"""What leaves, journeys and conditions ask of a user: the zone, attributes, addresses and consent."""

from collections.abc import Sequence

from transforms.campaigns.policies import Policies
from transforms.identity.profile import Profile
from transforms.identity.zones import known_zone
from transforms.segments.leaf_facts import ZONE_NAMES
from transforms.users.user import ANONYMOUS

__all__ = ["ProfileFacts", "zone_of"]


class ProfileFacts:
    """A user as known by a profile. `_zone` is what was found lately; who changes the profile sets it to None."""

    __slots__ = ("_zone",)

    id: str
    profile: Profile
    policies: Policies
    _zone: str | None

    @property
    def zone(self) -> str:
        """What the user said, else the policy's."""
        if self._zone is None:
            self._zone = zone_of(self.profile, self.policies.default_zone)
        return self._zone

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
