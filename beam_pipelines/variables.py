"""`--variable NAME=VALUE`: the environment of workers whose own nobody can set. Nothing here imports Beam."""

from collections.abc import Iterable, Mapping
from difflib import get_close_matches

from transforms.channels.channel import every_secret, every_variable
from transforms.channels.secret_manager import PREFIX, check_name
from transforms.channels.settings import OWN_SECRETS, SECRET_PREFIX
from transforms.errors import WrongUse
from transforms.messages.render import has_break

__all__ = ["parse_variables", "plain_variables", "secret_variables"]


def plain_variables() -> list[str]:
    """The variables whose values everybody may see."""
    return every_variable()


def secret_variables() -> list[str]:
    """The variables that hold secrets, but for those that messages name."""
    return [*OWN_SECRETS, *every_secret()]


def parse_variables(said: Iterable[str]) -> Mapping[str, str]:
    """Variables by name.

    Raises:
      WrongUse: something is no such variable, or a secret stands there in plain. The text shows no value.
    """
    found: dict[str, str] = {}
    for each in said:
        name, sign, value = each.partition("=")
        _check_name(name, sign)
        if has_break(value) or not value:
            raise WrongUse(f"--variable: {name} is empty, or has a line break or control character in it")
        if name in found:
            raise WrongUse(f"--variable: {name} stands there twice")
        if name in secret_variables() or name.startswith(SECRET_PREFIX):
            _check_place(name, value)
        found[name] = value
    return found


def _check_name(name: str, sign: str) -> None:
    known = [*plain_variables(), *secret_variables()]
    if not sign or (name not in known and not name.startswith(SECRET_PREFIX)):
        close = get_close_matches(name, known, 1)
        meant = f"; did you mean {close[0]}?" if close else f": {', '.join(known)}, or {SECRET_PREFIX}…"
        raise WrongUse(f"--variable: expected NAME=VALUE with a variable that channels take{meant}")


def _check_place(name: str, value: str) -> None:
    if value.startswith("file:"):
        return
    try:
        if not value.startswith(PREFIX):
            raise ValueError(f"a launch names no secret in plain: write {PREFIX}projects/P/secrets/S/versions/V")
        check_name(value.removeprefix(PREFIX))
    except ValueError as error:
        raise WrongUse(f"--variable: {name}: {error}") from error
