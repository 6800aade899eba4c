"""The consistency methods, one file each, by name and in the order of the page."""

from idvid.methods.context import CONTEXT
from idvid.methods.locks import LOCKS
from idvid.methods.method import Method
from idvid.methods.none import NONE

METHODS: dict[str, Method] = {method.name: method for method in (NONE, CONTEXT, LOCKS)}

__all__ = ["METHODS", "Method"]
