"""What webhooks are told at a launch: that calls are made, which addresses they may reach, and how they are signed."""

from collections.abc import Mapping

from transforms.channels.channel import ChannelSettings, Flag, Told, read_flag
from transforms.channels.hosts import parse_allowed
from transforms.channels.settings import secret_of

__all__ = ["SETTINGS", "WEBHOOK_SECRET"]

#: What calls are signed with.
WEBHOOK_SECRET = "TODOKE_WEBHOOK_SECRET"


def _check(told: Told, _environment: Mapping[str, str]) -> None:
    read_flag("webhook-allow", parse_allowed, told.get("webhook-allow", ()))


def _check_here(_told: Told, environment: Mapping[str, str]) -> None:
    from transforms.channels.webhook.transport import check_secret  # noqa: PLC0415 - it brings an HTTP client along

    if secret := secret_of(environment, WEBHOOK_SECRET):
        try:
            check_secret(secret)
        except ValueError as error:
            raise ValueError(f"{WEBHOOK_SECRET}: {error}") from error


SETTINGS = ChannelSettings(
    flags=(
        Flag("webhook", "send webhook messages", metavar=""),
        Flag(
            "webhook-allow",
            "HOST, HOST:PORT or a network such as 10.0.0.0/8 that webhooks may call though it is not public; may be "
            "repeated",
            metavar="HOST",
            repeated=True,
        ),
    ),
    secrets=(WEBHOOK_SECRET,),
    private=True,
    check=_check,
    check_here=_check_here,
)
