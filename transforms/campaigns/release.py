"""A release: the revisions of definitions that a running job knows, as a pointer names them.

The newest revision is what counts. Older ones go on answering for users to whom leaves of the newer are new and whose
history of these has not come yet. Times are microseconds since the epoch, UTC.

A pointer is a file of JSON, small enough to be read twice a minute:

    {"serial": 3,
     "revisions": [{"revision": "5f1c…", "file": "shop-5f1c….json", "published": "2026-03-10T12:00:00Z"}, …older],
     "activations": [{"serial": 3, "at": "2026-03-10T12:01:30Z", "leaves": ["9b0e…"]}]}

The files lie beside it, each with the texts of a revision, and are named by their content: they never change.
"""

from collections.abc import Callable
from hashlib import blake2b

import msgspec

from transforms.errors import NotStarted, TodokeError
from transforms.events.plain import quoted
from transforms.events.times import read_time, write_time

__all__ = [
    "MOST_REVISIONS",
    "Activation",
    "OlderDefinitions",
    "PointerError",
    "Release",
    "Revision",
    "Texts",
    "beside",
    "decode_pointer",
    "decode_texts",
    "encode_pointer",
    "encode_texts",
    "hash_definitions",
    "read_release",
]

#: File names with their contents, in order.
Texts = tuple[tuple[str, str], ...]

#: Revisions that a pointer keeps: the newest, and those before that may still answer.
MOST_REVISIONS = 4


class PointerError(TodokeError):
    """A pointer, or a file that it names, that cannot be read or written; the message says which and why."""


class OlderDefinitions(NotStarted):
    """Something was judged by newer definitions than these, so what these make of it must not be written."""

    def __init__(self, judged: int, known: int) -> None:
        super().__init__(
            f"release {judged} of the definitions was used already, and this process knows release {known}: "
            "start the job with the pointer (--definitions) that the store's users were judged by"
        )
        self.release = judged


class Revision(msgspec.Struct, frozen=True):
    """Definitions as published: the hash of their texts, these, and when they were published."""

    definitions_hash: str
    texts: Texts
    published: int = 0


class Activation(msgspec.Struct, frozen=True):
    """Leaves that came with a release: live events count for them if they arrived at `at` or later."""

    release: int
    at: int
    leaves: tuple[int, ...]


class Release(msgspec.Struct, frozen=True):
    """What travels to the steps of a job in place of plain texts.

    `number` is one more with each publication. `revisions` has the newest first. `pointer` is polled for newer releases
    every `every` seconds; None polls nothing. With `whole` the job reads the whole history, so that no leaf is new to
    anybody.
    """

    number: int
    revisions: tuple[Revision, ...]
    activations: tuple[Activation, ...] = ()
    pointer: str | None = None
    every: float = 30.0
    whole: bool = False


class _Named(msgspec.Struct, rename={"definitions_hash": "revision"}):
    definitions_hash: str
    file: str
    published: str


class _Since(msgspec.Struct, rename={"release": "serial"}):
    release: int
    at: str
    leaves: list[str]


class _Pointer(msgspec.Struct, rename={"number": "serial"}):
    number: int
    revisions: list[_Named]
    activations: list[_Since] = []


_pointer_decoder = msgspec.json.Decoder(_Pointer)
_texts_decoder = msgspec.json.Decoder(tuple[tuple[str, str], ...])


def encode_pointer(release: Release, files: dict[str, str]) -> bytes:
    """The pointer to a release. `files` names the file of each revision."""
    pointer = _Pointer(
        release.number,
        [
            _Named(each.definitions_hash, files[each.definitions_hash], write_time(each.published))
            for each in release.revisions
        ],
        [
            _Since(each.release, write_time(each.at), [f"{leaf:016x}" for leaf in each.leaves])
            for each in release.activations
        ],
    )
    return msgspec.json.format(msgspec.json.encode(pointer), indent=2) + b"\n"


def decode_pointer(data: bytes) -> tuple[Release, dict[str, str]]:
    """The release that a pointer names, its revisions still without texts, and the files where these are.

    Raises:
      PointerError: it is no pointer.
    """
    try:
        pointer = _pointer_decoder.decode(data)
        revisions = tuple(Revision(each.definitions_hash, (), read_time(each.published)) for each in pointer.revisions)
        activations = tuple(
            Activation(each.release, read_time(each.at), tuple(int(leaf, 16) for leaf in each.leaves))
            for each in pointer.activations
        )
    except (msgspec.MsgspecError, ValueError, RecursionError) as error:
        raise PointerError(f"not a pointer of `todoke publish`: {error}") from error
    if pointer.number < 1 or not revisions:
        raise PointerError("not a pointer of `todoke publish`: it needs a serial of 1 or more, and a revision")
    release = Release(pointer.number, revisions, activations)
    return release, {each.definitions_hash: each.file for each in pointer.revisions}


def read_release(pointer: str, read: Callable[[str], bytes], known: Release | None = None) -> tuple[Release, bytes]:
    """The release that a pointer names, with its texts, and the pointer as it was read.

    Args:
      pointer: where it is, a path or URL.
      read: reads a file.
      known: a release whose texts need not be read again.

    Raises:
      PointerError: it cannot be read, or is none, or a file that it names is missing or another one.
    """
    data = read(pointer)
    release, files = decode_pointer(data)
    texts = {each.definitions_hash: each.texts for each in known.revisions} if known is not None else {}
    for definitions_hash, file in files.items():
        if definitions_hash not in texts:
            texts[definitions_hash] = _read_texts(beside(pointer, file), read, definitions_hash)
    revisions = tuple(msgspec.structs.replace(each, texts=texts[each.definitions_hash]) for each in release.revisions)
    return msgspec.structs.replace(release, revisions=revisions, pointer=pointer), data


def beside(pointer: str, file: str) -> str:
    """The place of a file that a pointer names.

    Raises:
      PointerError: it is not beside the pointer.
    """
    if not file or "/" in file or "\\" in file:
        raise PointerError(f"{pointer}: expected the name of a file beside it; found {quoted(file)}")
    folder, slash, _ = pointer.rpartition("/")
    return f"{folder}{slash}{file}"


def _read_texts(place: str, read: Callable[[str], bytes], definitions_hash: str) -> Texts:
    texts = decode_texts(read(place))
    if hash_definitions(texts) != definitions_hash:
        raise PointerError(f"{place} does not hold revision {definitions_hash}: publish again")
    return texts


def hash_definitions(texts: Texts) -> str:
    """The hash of texts, whatever the files are called and wherever they lie."""
    digest = blake2b(digest_size=8)
    for _, text in texts:
        digest.update(text.encode() + b"\0")
    return digest.hexdigest()


def encode_texts(texts: Texts) -> bytes:
    """The texts of a revision as the file that a pointer names."""
    return msgspec.json.encode(texts)


def decode_texts(data: bytes) -> Texts:
    """The texts of `encode_texts`.

    Raises:
      PointerError: these are none.
    """
    try:
        return _texts_decoder.decode(data)
    except (msgspec.MsgspecError, RecursionError) as error:
        raise PointerError(f"not the texts of definitions: {error}") from error
