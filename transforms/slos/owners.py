"""`policies.owners`: who answers for service levels."""

import re
from collections.abc import Mapping

from transforms.segments.document import Node, Problems
from transforms.slos.definitions import LevelOwner

__all__ = ["OWNER_FIELDS", "OWNER_REQUIRED", "URL_FORM", "read_owners"]

OWNER_FIELDS = ("name", "contact", "page", "escalation")
OWNER_REQUIRED = ("name", "contact")
#: Where alerts go.
URL_FORM = "https?://[^/\\s]\\S*"


def read_owners(node: Node, problems: Problems) -> Mapping[str, LevelOwner] | None:
    """Read the owners by their ids."""
    if not isinstance(node.value, dict) or not node.value:
        problems.add(node, f"expected owners by their ids; found {node.kind}")
        return None
    owners = {}
    for name, body in node.value.items():
        problems.check_id(name, body)
        fields = problems.mapping(body, OWNER_FIELDS, required=OWNER_REQUIRED)
        said = {key: problems.text(child) or "" for key, child in (fields or {}).items()}
        page = said.get("page")
        if fields is not None and page and not re.fullmatch(URL_FORM, page):
            problems.add(
                fields["page"], "expected a URL that begins with http:// or https://, which alerts are sent to"
            )
        owners[name] = LevelOwner(name, **{"name": "", "contact": "", **said})
    return owners
