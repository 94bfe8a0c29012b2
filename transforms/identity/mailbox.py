"""Mailboxes: which may get mail, how one is written on the wire, and when two are the same."""

import re

__all__ = ["mailbox_key", "named_mailbox", "on_the_wire"]

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
#: The WHATWG rule (https://html.spec.whatwg.org/#valid-e-mail-address), which has dots anywhere in the local part.
_MAILBOX = re.compile(rf"(?=.{{1,64}}@)(?P<local>({_ATOM}|\.)+)@(?P<domain>{_LABEL}(\.{_LABEL})*)")
#: Dots as RFC 5321 has them: between atoms.
_ATOMS = re.compile(rf"{_ATOM}(\.{_ATOM})*")
#: Carriers that gave customers addresses with dots in a row, or at an end; these are still in use.
_CARRIERS = re.compile(
    r"(.+\.)?(docomo|ezweb|softbank|vodafone|disney|ymobile|pdx)\.ne\.jp|(au|willcom)\.com|i\.softbank\.jp",
    re.IGNORECASE,
)
_LONGEST = 254

_NAMED = re.compile(r"(?P<name>.*?)\s*<(?P<mailbox>[^<>]*)>", re.DOTALL)
_QUOTED = re.compile(r'"(?P<text>([^"\\]|\\.)*)"', re.DOTALL)


def on_the_wire(mailbox: str) -> str | None:
    """A mailbox in ASCII, its domain encoded by IDNA (UTS 46); None if no mail may be addressed to it.

    It has one @, no white space, no quotes, and at most 254 characters. A local part beyond ASCII would need
    SMTPUTF8, which few servers take. Dots that RFC 5321 forbids are quoted, and allowed for Japanese carriers only.
    """
    local, at, domain = mailbox.rpartition("@")
    written = mailbox if domain.isascii() else f"{local}{at}{_ascii_domain(domain)}"
    match = _MAILBOX.fullmatch(written)
    if match is None or len(written) > _LONGEST:
        return None
    if _ATOMS.fullmatch(match["local"]):
        return written
    return f'"{match["local"]}"@{match["domain"]}' if _CARRIERS.fullmatch(match["domain"]) else None


def mailbox_key(mailbox: str) -> str:
    """One form for all ways to write a mailbox: small letters, and the domain by IDNA.

    RFC 5321 lets servers distinguish case in local parts. None that matters does, and a complaint must count.
    """
    local, at, domain = mailbox.strip().rpartition("@")
    return f"{local.lower()}{at}{(domain if domain.isascii() else _ascii_domain(domain) or domain).lower()}"


def named_mailbox(text: str) -> tuple[str, str] | None:
    """The display name (empty: none) and the mailbox on the wire of `MAILBOX` or `NAME <MAILBOX>`; None: it is neither.

    A name is taken literally, with or without quotes around it: it is never a group, a comment or a second address.
    """
    match = _NAMED.fullmatch(text.strip())
    mailbox = on_the_wire(match["mailbox"].strip() if match else text.strip())
    if mailbox is None:
        return None
    name = match["name"].strip() if match else ""
    quoted = _QUOTED.fullmatch(name)
    return (re.sub(r"\\(.)", r"\1", quoted["text"], flags=re.DOTALL) if quoted else name), mailbox


def _ascii_domain(domain: str) -> str:
    import idna  # noqa: PLC0415 - its tables are for the few domains that need them

    try:
        return idna.encode(domain, uts46=True).decode() if len(domain) <= _LONGEST else ""
    except UnicodeError:
        return ""
