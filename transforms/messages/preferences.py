"""What the preference page shows: `policies.preferences`, its topics in words for people, and its own template."""

import re
from collections.abc import Mapping

import msgspec

from transforms.identity.channels import channels
from transforms.messages.definitions import Text
from transforms.messages.grammar_texts import TextReader
from transforms.segments.document import Node, Problems
from transforms.segments.schema import Schema, mapping, ref

__all__ = ["PAGE_WORDS", "Preferences", "TopicTexts", "preferences_schema", "read_preferences"]

#: What a template of the page may name.
PAGE_WORDS = ("form", "locale", "saved", "topics", "words")
#: What a page must have: without it nothing is taken back.
_FORM = re.compile(r"\{\{-?\s*form\b")


class TopicTexts(msgspec.Struct, frozen=True):
    """A topic in words: its name, and what it is about."""

    name: Text
    about: Text | None = None


class Preferences(msgspec.Struct, frozen=True):
    """Topics in the order in which they are shown, and the template of the page, None for the usual one.

    `channels` are the names of channels, for people.
    """

    topics: dict[str, TopicTexts] = {}
    channels: dict[str, Text] = {}
    template: Text | None = None


def read_preferences(node: Node, problems: Problems, files: Mapping[str, str]) -> Preferences | None:
    """Read the policy; `files` are the texts beside the definitions."""
    fields = problems.mapping(node, ("topics", "channels", "template"), instead="{topics: {news: {name: …}}}")
    if fields is None:
        return None
    reader = TextReader(PAGE_WORDS, files, problems, None)
    topics: dict[str, TopicTexts] = {}
    for topic, child in _named(fields.get("topics"), "topics", problems).items():
        inner = problems.mapping(child, ("name", "about"), required=("name",), instead="{name: …}")
        name = reader.text(inner["name"]) if inner and "name" in inner else None
        about = reader.text(inner["about"]) if inner and "about" in inner else None
        if name is not None:
            topics[topic] = TopicTexts(_plain(child, name, problems), about and _plain(child, about, problems))
    names: dict[str, Text] = {}
    for channel, child in _named(fields.get("channels"), "channels", problems).items():
        if channel not in channels():
            problems.add(child, f"`{channel}` is no channel; {', '.join(channels())} are")
        elif (text := reader.text(child)) is not None:
            names[channel] = _plain(child, text, problems)
    before = problems.mistakes
    template = reader.text(fields["template"]) if "template" in fields else None
    if template is not None and problems.mistakes == before:
        _check(fields["template"], template, problems)
    return Preferences(topics, names, template)


def _named(node: Node | None, what: str, problems: Problems) -> dict[str, Node]:
    if node is None:
        return {}
    if isinstance(node.value, dict) and node.value:
        return dict(node.value)
    problems.add(node, f"expected a mapping of {what}; found {node.kind}")
    return {}


def _plain(node: Node, text: Text, problems: Problems) -> Text:
    if any("{{" in source or "{%" in source for source in text.sources.values()):
        problems.add(node, "names of topics and channels are plain texts: templates say how they are shown")
    return text


def _check(node: Node, template: Text, problems: Problems) -> None:
    from transforms.messages.liquid import paths_of  # noqa: PLC0415 - Liquid is for the few that have it

    for source in template.sources.values():
        if not _FORM.search(source) and not any(_FORM.search(text) for _, text in template.partials):
            problems.add(node, "the page needs `{{ form }}` inside its form: without it no choice is taken")
        unknown = {str(path[0]) for path in paths_of(source, template.partials)} - {*PAGE_WORDS}
        for name in sorted(unknown):
            problems.add(node, f"`{name}` is not known on the page; {', '.join(PAGE_WORDS)} are")


def preferences_schema() -> Schema:
    """The schema of the policy."""
    topic = mapping({"name": ref("text"), "about": ref("text")}, ["name"])
    return mapping(
        {
            "topics": {
                "type": "object",
                "minProperties": 1,
                "additionalProperties": topic,
                "description": "in the order in which they are shown",
            },
            "channels": {
                **mapping({name: ref("text") for name in channels()}),
                "minProperties": 1,
                "description": "how channels are called",
            },
            "template": {**ref("text"), "description": "of the page; default: Todoke's own"},
        }
    )
