"""Words that were meant: other languages and tools have them where this one has a different word, or they were
mistyped. Mistakes name the right one.
"""

from collections.abc import Collection, Iterator
from difflib import get_close_matches

from transforms.events.channels import installed

__all__ = ["hint", "meant"]

#: How like each other two words are of which one may be the other mistyped; of 1.
_ALIKE = 0.7

_WORDS = {
    "is": ("eq", "equal", "equals", "equal_to", "=", "==", "value"),
    "is_not": ("ne", "neq", "not_equal", "not_equals", "isnt", "!=", "<>", "not"),
    "in": ("one_of", "any_of", "is_in", "includes"),
    "not_in": ("none_of", "nin", "not_one_of", "is_not_in"),
    "exists": ("exist", "present", "is_set", "set", "defined"),
    "at_least": ("gte", "ge", "min", "minimum", "atleast", "least", "from", ">="),
    "at_most": ("lte", "le", "max", "maximum", "atmost", "most", "<="),
    "more_than": ("gt", "greater", "greater_than", "above", "over", "morethan", "after", ">"),
    "less_than": ("lt", "less", "lower_than", "fewer_than", "below", "under", "lessthan", "before", "<"),
    "between": ("range",),
    "contains": ("contain", "has", "include", "includes", "substring", "like"),
    "starts_with": ("startswith", "begins_with", "prefix"),
    "ends_with": ("endswith", "suffix"),
    "matches": ("match", "regex", "regexp", "re", "pattern"),
    "within": ("in_last", "last_days", "during", "newer_than", "younger_than", "in", "window"),
    "older_than": ("older", "not_within", "ago", "more_than", "at_least"),
    "all": ("and", "every"),
    "any": ("or", "some", "one_of", "any_of"),
    "not": ("none", "none_of", "nor", "unless", "except", "without"),
    "attribute": ("trait", "traits", "property", "user", "profile", "field"),
    "event": ("events", "track", "name", "action", "did"),
    "segment": ("segments", "member_of", "in_segment", "audience", "enters"),
    "enters": ("enter", "entered", "entry", "enters_segment", "segment", "joins", "becomes"),
    "leaves": ("leave", "left", "leaves_segment", "exits"),
    "schedule": ("cron", "at", "time", "scheduled", "daily", "every"),
    "announcement": ("broadcast", "announce"),
    "send": ("mail", "message", "notify"),
    "wait": ("delay", "sleep", "pause"),
    "if": ("when", "branch", "condition", "case"),
    "end": ("stop", "exit", "finish"),
    "to": ("end", "until", "before"),
    "below": ("to", "until"),
    "from": ("start", "begin", "after"),
    "exit": ("exits", "stop", "stop_when", "goal_exit", "until"),
    "trigger": ("when", "triggers", "on", "start", "entry"),
    "steps": ("step", "actions", "flow", "journey"),
    "reenter": ("reentry", "re_enter", "re_entry", "frequency"),
    "live": ("active", "on", "running", "enabled", "true", "published"),
    "stopped": ("off", "ended", "disabled", "archived", "false"),
    "paused": ("pause", "draft"),
    "never": ("once", "false", "no"),
    "always": ("true", "yes", "every_time"),
    "email": ("mail", "e_mail"),
    "push": ("app", "notification", "mobile"),
    "inbox": ("in_app",),
    "skip": ("ignore", "drop"),
    "resend": ("retry", "again"),
    "consented": ("consent", "opted_in", "subscribed"),
    "where": ("properties", "filter", "filters", "with", "having", "if"),
    "of": ("path", "property", "field", "on"),
    "count": ("times", "occurrences", "at_least", "at_most", "more_than", "less_than", "is", "between"),
    "average": ("avg", "mean"),
    "minimum": ("min",),
    "maximum": ("max",),
    "distinct": ("unique", "distinct_count", "cardinality"),
    "sum": ("total",),
    "since": ("after", "from", "starting"),
    "same": ("group_by", "by", "per", "each"),
    "members": ("conditions", "condition", "where", "filter", "users", "rules"),
    "owner": ("team", "author"),
}


def meant(key: str, allowed: Collection[str]) -> str | None:
    """The allowed word that a key may be meant for, or is most like; None if there is none."""
    plain = key.lower().replace("-", "_").replace(" ", "_")
    if plain in allowed:
        return plain
    return next((word for word in _words_for(plain) if word in allowed), None) or _most_like(plain, allowed)


def hint(name: str, names: Collection[str]) -> str:
    """The end of a sentence that there is no such name: the one that it is most like; nothing if it is like none."""
    word = _most_like(name, names)
    return f"; did you mean `{word}`?" if word else ""


def _most_like(name: str, names: Collection[str]) -> str | None:
    return next(iter(get_close_matches(name, names, 1, _ALIKE)), None)


def _words_for(plain: str) -> Iterator[str]:
    """All that a word may be meant for; the name of a channel means sending there."""
    for word, others in _WORDS.items():
        if plain in others or (word == "send" and plain in installed()):
            yield word
