"""Secrets of this process, hidden wherever somebody may read: in logs, in the ledger, in receipts.

A provider may answer with what it was sent: a token, or a header that has one in base64.
"""

import re
from base64 import b64encode
from collections.abc import Iterable, Iterator
from urllib.parse import quote

import msgspec

from transforms.channels.outcome import DETAIL, Outcome
from transforms.messages.secrets import MASK

__all__ = ["Masks"]

#: So many characters of a secret are told from chance: at the end of a text that was cut, and in base64.
_TELLING = 6


class Masks:
    """Puts `MASK` in place of secrets, as they are, as they stand in URLs, and in base64.

    Args:
      secrets: what nobody may see; an empty one is none.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        forms = {form for secret in secrets for form in _forms(secret.strip())}
        self._forms = sorted(forms, key=len, reverse=True)
        self._any = re.compile("|".join(map(re.escape, self._forms))) if forms else None

    def masked(self, text: str) -> str:
        """The text without secrets."""
        return text if self._any is None else self._any.sub(MASK, text)

    def outcome(self, outcome: Outcome) -> Outcome:
        """An outcome that says nothing secret. Its detail may have been cut within a secret."""
        if self._any is None or not outcome.detail:
            return outcome
        detail = self.masked(outcome.detail)
        if len(outcome.detail) >= DETAIL:
            detail = self._without_beginning(detail)
        return msgspec.structs.replace(outcome, detail=detail[:DETAIL])

    def _without_beginning(self, text: str) -> str:
        """The text without the beginning of a secret at its end."""
        for form in self._forms:
            for length in range(len(form) - 1, _TELLING - 1, -1):
                if text.endswith(form[:length]):
                    return f"{text[:-length]}{MASK}"
        return text


def _forms(secret: str) -> Iterator[str]:
    if not secret:
        return
    yield secret
    yield quote(secret, safe="")
    data = secret.encode()
    if len(data) < _TELLING:
        return
    for before in range(3):  # bytes before it, as of a user's name, shift what it is in base64
        text = b64encode(bytes(before) + data).decode()
        yield text[-(-before * 8 // 6) : (before + len(data)) * 8 // 6]
