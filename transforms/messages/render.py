"""Messages for one user: texts of the right locale, filled in. What is uncertain is refused, never guessed."""

import re
from collections.abc import Mapping
from typing import Any, Protocol, Self

import msgspec

from transforms.events.plain import quoted
from transforms.messages.definitions import Message, Text, Tree, locale_key
from transforms.messages.liquid import fill

__all__ = ["Filler", "Linking", "RenderError", "Rendered", "has_break", "render"]

#: Characters that could end a line of a header: C0 and C1 controls (CR, LF, NEL, …) and Unicode's own separators.
_BREAKS = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]")


def has_break(text: str) -> bool:
    """Whether a text holds anything that could end a line of a header."""
    return _BREAKS.search(text) is not None


class RenderError(Exception):
    """A message that must not go out; its text says which field and why."""


class Linking(Protocol):
    """Puts tracked links in the places of those of one message; call it for HTML first."""

    def html(self, document: str) -> str:
        """HTML with other links, and with the picture that says when it is shown."""

    def text(self, text: str, *, whole: bool = True) -> str:
        """A text with other links; `whole`: it has all links of the message, and is not one part of several."""

    def url(self, url: str) -> str:
        """Another link in the place of one of several."""


class Rendered(msgspec.Struct, frozen=True):
    """A message that is filled in; each channel has a class of its own."""

    @property
    def summary(self) -> str:
        """A short description for people: its subject, title, text or URL."""
        raise NotImplementedError

    @property
    def note(self) -> str:
        """What else people want to know of it before it is sent, such as what it is paid by; empty for nothing."""
        return ""

    def linked(self, linking: Linking) -> Self:  # noqa: ARG002 - of most channels there is nothing to track
        """The same with tracked links.

        Raises:
          RenderError: it must not go out so.
        """
        return self


def render(message: Message, scope: Mapping[str, object], locale: str | None, default_locale: str) -> Rendered:
    """Fill in a message.

    `scope` holds `user`, `event`, `campaign`, `now` (an aware datetime in the user's zone), `unsubscribe_url`, and
    `variant` where there is one, and `secrets`, by name, where calls are made that may need them. Of a text with
    locales, that of `locale` is taken, else that of its language, else that of `default_locale`.

    Raises:
      RenderError: a missing variable or locale, an error or a limit in Liquid, a line break in a header, or
        nothing to show.
    """
    wanted = locale_key(locale) if locale else ""
    return message.fill(Filler(scope, ("", wanted, wanted.partition("-")[0], locale_key(default_locale))))


class Filler:
    """Fills in fields for one user."""

    def __init__(self, scope: Mapping[str, object], locales: tuple[str, ...]) -> None:
        self.secrets = scope.get("secrets")
        self.scope = {name: value for name, value in scope.items() if name != "secrets"}
        self.locales = locales

    def with_secrets(self, secrets: object) -> "Filler":
        """The same, seeing secrets."""
        texts = Filler({}, self.locales)
        texts.scope = {**self.scope, "secrets": secrets}
        return texts

    def body(self, field: str, text: Text | None, *, escape: bool = False) -> str | None:
        """What people read, unchanged, or None if the definition has none."""
        return None if text is None else self._filled(field, text, escape=escape)

    def _filled(self, field: str, text: Text, *, escape: bool = False) -> str:
        try:
            return fill(text.sources[self.locale(field, text)], self.scope, escape=escape, partials=text.partials)
        except ValueError as error:
            raise RenderError(f"{field}: {error}") from error

    def locale(self, field: str, text: Text) -> str:
        """The locale that is taken of a text; empty if it has none."""
        for locale in self.locales:
            if locale in text.sources:
                return locale
        wanted = ", ".join(filter(None, dict.fromkeys(self.locales)))
        raise RenderError(f"{field}: no text for {wanted}; there is {', '.join(text.sources)}")

    def line(self, field: str, text: Text | None) -> str | None:
        """One line without white space around it; None if nothing is left."""
        filled = "" if text is None else self._filled(field, text).strip()
        if has_break(filled):
            raise RenderError(f"{field}: a line break or control character in {quoted(filled)}")
        return filled or None

    def tree(self, field: str, tree: Tree) -> Any:
        """A JSON value with its texts filled in."""
        if isinstance(tree, Text):
            return self._filled(field, tree)
        if isinstance(tree, dict):
            return {key: self.tree(f"{field}.{key}", inner) for key, inner in tree.items()}
        if isinstance(tree, list):
            return [self.tree(f"{field}[{place}]", inner) for place, inner in enumerate(tree)]
        return tree
