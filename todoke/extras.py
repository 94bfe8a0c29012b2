"""Packages that only one command needs are extras, and may be missing."""

from importlib import import_module
from types import ModuleType

from transforms.errors import NotStarted

__all__ = ["import_with"]

_OURS = ("beam_pipelines", "services", "todoke", "transforms")


def import_with(extra: str, module: str) -> ModuleType:
    """Import a module that needs an extra.

    Raises:
      NotStarted: the extra is not installed; the text says how to install it.
    """
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing in _OURS:
            raise
        raise NotStarted(f"{missing} is not installed: pip install 'todoke[{extra}]'") from error
