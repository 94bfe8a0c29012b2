"""Definitions: files read, checked, and compiled once a process, named by the hash of their content."""

import gc
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, TypeVar

from transforms.campaigns.definitions import Campaign
from transforms.campaigns.grammar import read_campaigns
from transforms.campaigns.index import CampaignIndex, asker_of, conditions_of
from transforms.campaigns.policies import Policies, read_policies
from transforms.campaigns.recommend import Recommend, check_conditions, read_recommend
from transforms.campaigns.release import Release, Texts, hash_definitions
from transforms.campaigns.retention import check_retention
from transforms.errors import NotStarted
from transforms.messages.definitions import Message, without_locale
from transforms.messages.files import SUFFIXES, file_meant, names_in, rendered
from transforms.messages.grammar import read_messages
from transforms.messages.scope import RECOMMENDATIONS
from transforms.segments.conditions import Condition
from transforms.segments.document import Node, Problems, read_documents
from transforms.segments.grammar import warn_of_surprises
from transforms.segments.index import Segment, SegmentIndex, check_circles, check_references, read_segments
from transforms.segments.leaves import EventLeaf, leaf_key
from transforms.segments.warming import AskedConditions, atoms, references
from transforms.slos.definitions import ServiceLevel
from transforms.slos.grammar import Known, check_agreed, read_levels

if TYPE_CHECKING:
    from transforms.messages.needs import Need

__all__ = [
    "Definitions",
    "DefinitionsError",
    "Texts",
    "check",
    "compiled",
    "load",
    "read_texts",
]

#: More than any mail holds, in bytes.
_LONGEST_TEXT = 1_000_000
_SECTIONS = ("segments", "campaigns", "messages", "policies", "slos", "recommend")
#: Those that say one thing, and have no ids.
_WITHOUT_IDS = ("policies", "recommend")


class DefinitionsError(NotStarted):
    """Definitions with mistakes; `problems` holds each with its place."""

    def __init__(self, problems: Problems) -> None:
        super().__init__("\n".join(str(problem) for problem in problems.errors))
        self.problems = problems

    def told(self, program: str) -> str:  # noqa: ARG002 - each line begins with the file
        """Each mistake with its place, one a line."""
        return str(self)


class Definitions:
    """Everything that `advance` and Deliver need, compiled.

    `definitions_hash` is that of the texts, `asked` what the definitions ask; `index` and `routes` are the segments and
    the campaigns compiled, `events` the names of the events that either asks about.

    Those of a pointer have a `release`, one more with each publication (0: no pointer), the time (microseconds UTC)
    when they were `published` (0 where the whole history is read), and `activations`: since when the leaves count that
    are newer than the pointer, by key; `since` has them as they were published.
    `awaited` are the activations that users may have to wait for, None where nobody has to: without a pointer, and
    where the whole history is read. `older` are the revisions before, the newest first. `slos` are the service levels.
    `recommend` says what is recommended, None where nothing is.
    """

    def __init__(
        self,
        texts: Texts,
        segments: dict[str, Segment],
        campaigns: dict[str, Campaign],
        messages: dict[str, Message],
        policies: Policies,
        *,
        slos: Mapping[str, ServiceLevel] = MappingProxyType({}),
        recommend: Recommend | None = None,
        release: Release | None = None,
        older: Sequence["Definitions"] = (),
    ) -> None:
        self.texts = texts
        self.definitions_hash = hash_definitions(texts)
        self.segments = segments
        self.campaigns = campaigns
        self.messages = messages
        self.policies = policies
        self.slos = slos
        self.recommend = recommend
        self.release = release.number if release is not None else 0
        self.since = release.activations if release is not None else ()
        whole = release is None or release.whole
        self.published = release.revisions[0].published if release is not None and not whole else 0
        self.awaited = None if whole else self.since
        self.activations = {leaf: activation.at for activation in self.since for leaf in activation.leaves}
        self.asked = AskedConditions(
            {name: segment.members for name, segment in segments.items()}, conditions_of(campaigns)
        )
        self.index = SegmentIndex(self.asked, [each.asked for each in older], self.activations)
        self.routes = CampaignIndex(campaigns)
        self.events = self.routes.events | self.index.events.keys()

    @property
    def event_leaves(self) -> tuple[int, ...]:
        """Keys of the leaves whose answers need the past, without those of older revisions."""
        own = {leaf_key(atom) for _, condition in self.conditions for atom in atoms(condition)}
        return tuple(sorted(key for key in own if isinstance(self.index.leaves[key], EventLeaf)))

    def segments_of(self, leaves: set[int]) -> set[str]:
        """The segments, and the campaigns, that ask these leaves."""
        return {
            asker_of(name)
            for name, condition in self.conditions
            if any(leaf_key(atom) in leaves for atom in atoms(condition))
        }

    def only(self, segment: str) -> "Definitions":
        """One segment with those that it refers to, and nothing else; the hash stays."""
        named, waiting = {segment}, [segment]
        while waiting:
            more = references(self.segments[waiting.pop()].members) - named
            named |= more
            waiting += more
        segments = {name: self.segments[name] for name in sorted(named)}
        return Definitions(self.texts, segments, {}, {}, self.policies)

    def released(self, release: Release, older: Sequence["Definitions"]) -> "Definitions":
        """The same definitions as the newest of a release; `older` are its other revisions, compiled."""
        parts = (self.segments, self.campaigns, self.messages, self.policies)
        slos, recommend = self.slos, self.recommend
        return Definitions(self.texts, *parts, slos=slos, recommend=recommend, release=release, older=older)

    @property
    def conditions(self) -> list[tuple[str, Condition]]:
        """What is asked, by the name of who asks it."""
        return [*self.asked.segments.items(), *self.asked.campaigns.items()]


def read_texts(path: str | Path) -> Texts:
    """The texts of a definitions file, or of the `.yaml` and `.yml` files of a folder, and those that messages name.

    Raises:
      DefinitionsError: if there is none, or one cannot be read.
    """
    problems, place = Problems(), Path(path)
    files = _files(place) if place.is_dir() else [place]
    texts = []
    for file in files:
        try:
            texts.append((str(file), file.read_text(encoding="utf-8")))
        except FileNotFoundError:
            problems.add(Node(None, str(file), 0, ""), "there is no such file or folder")
        except (OSError, UnicodeDecodeError) as error:
            problems.add(Node(None, str(file), 1, ""), f"cannot be read: {error}")
    if not files:
        problems.add(Node(None, str(place), 1, ""), "the folder holds no .yaml file")
    texts += _beside(place if place.is_dir() else place.parent, texts, problems)
    if problems.errors:
        raise DefinitionsError(problems)
    return tuple(texts)


def _files(folder: Path) -> list[Path]:
    """The files of definitions in a folder and those below it, but for what is hidden: copies of editors, `.git`."""
    found = (file for file in folder.rglob("*.y*ml") if file.suffix in (".yaml", ".yml"))
    return sorted(file for file in found if not any(part[0] == "." for part in file.relative_to(folder).parts))


class _Folder(Container[str]):
    """The files of the definitions' folder that a text may stand in, by their paths."""

    def __init__(self, root: Path) -> None:
        self.root = root.resolve()

    def __contains__(self, path: object) -> bool:
        file = Path(str(path))
        return file.suffix not in SUFFIXES and file.is_file() and file.resolve().is_relative_to(self.root)


def _beside(root: Path, definitions: Sequence[tuple[str, str]], problems: Problems) -> list[tuple[str, str]]:
    """The texts in files that messages name, and the partials that these render, by file."""
    folder, found = _Folder(root), dict[str, str]()
    waiting = [(file, name) for file, text in definitions for name in names_in(file, text)]
    while waiting:
        naming, name = waiting.pop()
        file = file_meant(name, naming, folder)
        if file is None or file in found:
            continue
        try:
            if Path(file).stat().st_size > _LONGEST_TEXT:
                raise ValueError(f"it is larger than {_LONGEST_TEXT:,} bytes")
            found[file] = Path(file).read_text(encoding="utf-8")
        except (OSError, ValueError) as error:
            problems.add(Node(None, file, 1, ""), f"cannot be read: {error}")
            continue
        waiting += [(file, partial) for partial in rendered(found[file])]
    return sorted(found.items())


def load(path: str | Path) -> Definitions:
    """Read and compile definitions.

    Raises:
      DefinitionsError: with every mistake.
    """
    return compiled(read_texts(path))


@lru_cache(maxsize=16)
def compiled(source: Texts | Release) -> Definitions:
    """Compile texts, or a release, once a process.

    Raises:
      DefinitionsError: with every mistake.
    """
    if isinstance(source, Release):
        return compiled(source.revisions[0].texts).released(source, list(_older(source)))
    definitions, problems = check(source)
    if definitions is None:
        raise DefinitionsError(problems)
    return definitions


def _older(release: Release) -> Iterator[Definitions]:
    """The revisions before the newest, back to one that this version of the program does not take any more."""
    for revision in release.revisions[1:]:
        try:
            yield compiled(revision.texts)
        except DefinitionsError:
            return


@contextmanager
def _keeping_all() -> Iterator[None]:
    """Pause the garbage collector: everything that is made of ten thousand segments is kept, and looking through it
    again and again took two thirds of the time.
    """
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@_keeping_all()
def check(texts: Texts, needs: "list[Need] | None" = None) -> tuple[Definitions | None, Problems]:
    """Read texts and note every mistake and warning; definitions are None where there is a mistake.

    If `needs` is given, what messages need is added to it.
    """
    problems = Problems()
    files = {name: text for name, text in texts[1:] if not name.endswith(SUFFIXES)}
    sections = _sections(read_documents({name: text for name, text in texts if name not in files}, problems), problems)
    policies = read_policies(sections["policies"], problems, files)
    messages = _messages(sections, files, needs, problems)
    segments = _merge(sections["segments"], lambda node: read_segments(node, problems))
    names = set(_names(sections["segments"]))
    recommend = read_recommend(sections["recommend"], names, segments, problems, policies.retention)
    for node in (*sections["segments"], *sections["campaigns"]):
        check_references(node, names, problems)
    check_circles(segments, problems)
    sendable = {*_names(sections["messages"])}
    campaigns = _merge(sections["campaigns"], lambda node: read_campaigns(node, names, sendable, policies, problems))
    _unused_messages(sections, problems)
    known = Known(policies.owners, frozenset(names), _channels(sections["campaigns"], campaigns, messages))
    slos = _merge(sections["slos"], lambda node: read_levels(node, known, problems))
    check_agreed(sections["campaigns"], sections["slos"], problems)
    for node in (*sections["segments"], *sections["campaigns"]):
        warn_of_surprises(node, problems)
    if problems.errors:
        return None, problems
    definitions = Definitions(texts, segments, campaigns, messages, policies, slos=slos, recommend=recommend)
    places = {name: child for node in sections["campaigns"] for name, child in node.value.items()}
    places |= {name: segment.place for name, segment in segments.items()}
    if policies.retention is not None:
        check_retention(definitions.conditions, policies.retention, places, problems)
    if recommend is not None:
        check_conditions(definitions.conditions, places, problems)
    if problems.errors:
        return None, problems
    _missing_locales(sections["messages"], definitions, problems)
    for rank in definitions.index.at_first:
        segment = segments[definitions.index.order[rank]]
        cause = "holds also for users who were never seen to do anything"
        problems.add(segment.place, cause, warning=True)
    return definitions, problems


_Read = TypeVar("_Read")


def _merge(nodes: list[Node], read: Callable[[Node], dict[str, _Read]]) -> dict[str, _Read]:
    merged: dict[str, _Read] = {}
    for node in nodes:
        merged.update(read(node))
    return merged


def _sections(documents: list[Node], problems: Problems) -> dict[str, list[Node]]:
    """The sections of all files; the ids in them are checked here, since two files may share a section."""
    sections: dict[str, list[Node]] = {name: [] for name in _SECTIONS}
    taken: dict[tuple[str, str], Node] = {}
    for document in documents:
        for name, node in (problems.mapping(document, _SECTIONS) or {}).items():
            sections[name].append(node)
            if name in _WITHOUT_IDS or not isinstance(node.value, dict):
                continue
            for key, child in node.value.items():
                problems.check_id(key, child)
                if other := taken.get((name, key)):
                    problems.add(child, f"`{key}` is already defined at {other.file}:{other.line}")
                taken[name, key] = child
    return sections


def _names(nodes: list[Node]) -> list[str]:
    return [key for node in nodes if isinstance(node.value, dict) for key in node.value]


def _messages(
    sections: dict[str, list[Node]], files: dict[str, str], needs: "list[Need] | None", problems: Problems
) -> dict[str, Message]:
    """The messages; their templates know what the campaigns that send them name under `with`."""
    always = {RECOMMENDATIONS} if sections["recommend"] else set()
    given: dict[str, set[str]] = {name: set(always) for name in _names(sections["messages"])}
    for section in sections["campaigns"]:
        for campaign in section.value.values() if isinstance(section.value, dict) else ():
            named = campaign.value.get("with") if isinstance(campaign.value, dict) else None
            for message in _texts_under_send(campaign):
                given.setdefault(message, set()).update(
                    named.value if named is not None and isinstance(named.value, dict) else ()
                )
    return _merge(sections["messages"], lambda node: read_messages(node, given, problems, files, needs))


def _missing_locales(nodes: list[Node], definitions: Definitions, problems: Problems) -> None:
    locale = definitions.policies.default_locale
    for name, child in ((name, child) for node in nodes for name, child in node.value.items()):
        for field in without_locale(definitions.messages[name], locale):
            at = child.value.get(field, child)
            cause = f"has no text for `{locale}`, the default locale: whose locale is none of these gets nothing"
            problems.add(at, cause, warning=True)


def _channels(
    nodes: list[Node], campaigns: Mapping[str, Campaign], messages: Mapping[str, Message]
) -> dict[str, frozenset[str] | None]:
    """The channels of each campaign; None where it, or a message of it, has mistakes."""
    sent = {
        name: {message for step in campaign.every_step for message in step.all_messages}
        for name, campaign in campaigns.items()
    }
    return {
        name: frozenset(messages[each].channel for each in sent[name])
        if sent.get(name, {""}) <= messages.keys()
        else None
        for name in _names(nodes)
    }


def _unused_messages(sections: dict[str, list[Node]], problems: Problems) -> None:
    used = {text for node in sections["campaigns"] for text in _texts_under_send(node)}
    for node in sections["messages"]:
        for name, child in node.value.items() if isinstance(node.value, dict) else ():
            if name not in used:
                problems.add(child, f"no campaign sends message `{name}`")


def _texts_under_send(node: Node, *, inside: bool = False) -> Iterator[str]:
    """Every text below a `send:`, also in malformed steps, so that one mistake is not reported as two."""
    if isinstance(node.value, dict):
        for key, child in node.value.items():
            yield from _texts_under_send(child, inside=inside or key == "send")
    elif isinstance(node.value, list):
        for child in node.value:
            yield from _texts_under_send(child, inside=inside)
    elif inside and isinstance(node.value, str):
        yield node.value
