"""Beam asks for the signature of every method of every DoFn some thirty times a run; here each is looked at once.

That was half of the processor's time of a test that runs a small pipeline. The answer depends on the function alone.
"""

import types
from collections.abc import Callable
from typing import Any
from weakref import WeakKeyDictionary

from apache_beam.transforms import core

__all__ = ["remember_signatures"]

Signature = tuple[list[str], list[Any]]


def remember_signatures() -> None:
    """From now on in this process."""
    look: Callable[[Any], Signature] = core.get_function_args_defaults
    known: WeakKeyDictionary[Any, Signature] = WeakKeyDictionary()

    def remembered(function: Any) -> Signature:
        if not isinstance(function, types.MethodType):
            return look(function)
        try:
            names, defaults = known[function.__func__]
        except KeyError:
            names, defaults = known[function.__func__] = look(function)
        return [*names], [*defaults]

    core.get_function_args_defaults = remembered
