"""Secrets of this process, hidden wherever somebody may read: in logs, in the ledger, in receipts.

A provider may answer with what it was sent: a token, or a header that has one in base64.
"""

import json
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from html import escape
from urllib.parse import quote

import msgspec

from transforms.channels.outcome import Outcome
from transforms.events.plain import plain
from transforms.messages.secrets import MASK

__all__ = ["SHORTEST", "Masks"]

#: So many characters of a secret are told from chance. A shorter secret is not masked: it would be found in the ids of
#: providers, and what is left of them would tell it.
SHORTEST = 6


class Masks:
    """Puts `MASK` in place of secrets: as they are, and as they stand in URLs, JSON, HTML and base64.

    Which characters of a URL or of JSON are written by escapes, and in which letters, is up to who writes them: any may
    be. What was changed otherwise, as by hex or other cases of letters, is not found, nor is an end or a middle alone.

    A text may have been cut within a secret, by whoever answered or by whoever read the answer; so what is at its end
    and is the beginning of one, of at least `SHORTEST` characters, is masked too.

    Args:
      secrets: what nobody may see; one of less than `SHORTEST` characters is none.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        told = [secret for secret in map(str.strip, secrets) if len(secret) >= SHORTEST]
        forms = {written for secret in told for form in _forms(secret) for written in (form, _in_one_line(form))}
        self._forms = sorted((form for form in forms if len(form) >= SHORTEST), key=len, reverse=True)
        lines = {secret for each in told for secret in (each, _in_one_line(each)) if len(secret) >= SHORTEST}
        patterns = [*map(_in_any_escapes, sorted(lines, key=len, reverse=True)), *map(re.escape, self._forms)]
        self._any = re.compile("|".join(patterns)) if self._forms else None

    def masked(self, text: str) -> str:
        """The text without secrets, whole ones or the beginning of one at its end."""
        return text if self._any is None else self._without_beginning(self._any.sub(MASK, text))

    def outcome(self, outcome: Outcome) -> Outcome:
        """An outcome that says nothing secret. The mask is shorter than what it hides: the detail gets no longer."""
        if self._any is None or not outcome.detail:
            return outcome
        return msgspec.structs.replace(outcome, detail=self.masked(outcome.detail))

    def _without_beginning(self, text: str) -> str:
        said = text.rstrip("\ufffd")  # what is left of a character that was cut
        for form in self._forms:
            place = said.find(form[:SHORTEST])
            while place >= 0:
                if form.startswith(said[place:]):
                    return f"{said[:place]}{MASK}"
                place = said.find(form[:SHORTEST], place + 1)
        return text


def _forms(secret: str) -> Iterator[str]:
    yield secret
    yield secret.replace("/", "\\/")
    for written in (quote(secret), quote(secret, safe="")):
        yield written
        yield re.sub("%..", lambda match: match[0].lower(), written)
    yield escape(secret)
    for written in (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1]):
        yield written
        yield written.replace("/", "\\/")
        yield re.sub("[<>&']", lambda match: _json_escape(match[0]), written)  # as for a page of HTML
    yield "".join(map(_json_escape, secret))
    data = secret.encode()
    for before in range(3):  # bytes before it, as of a user's name, shift what it is in base64
        text = b64encode(bytes(before) + data).decode()
        yield text[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]


def _in_any_escapes(secret: str) -> str:
    """A pattern of a secret: each character as it is, or by an escape of URLs or JSON."""
    return "".join(map(_in_any_escape, secret))


def _in_any_escape(letter: str) -> str:
    percents = "".join(f"%{byte:02x}" for byte in letter.encode("utf-8", "surrogatepass"))
    written = [percents, _json_escape(letter), *([f"\\{letter}"] if letter in '/"\\' else [])]
    # Atomic, the escapes first: of many signs that begin one, the ways to read them would grow without bound.
    return f"(?>(?i:{'|'.join(map(re.escape, written))})|{re.escape(letter)})"


def _json_escape(letter: str) -> str:
    units = letter.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"\\u{units[place : place + 4]}" for place in range(0, len(units), 4))


def _in_one_line(text: str) -> str:
    """A text as outcomes have it."""
    return plain(" ".join(text.split()))
