"""The consistency methods, one file each, by name and in the order of the page."""

from idvid.methods.context import CONTEXT
from idvid.methods.face_aware import FACE_AWARE
from idvid.methods.full import FULL
from idvid.methods.keyframes import KEYFRAMES
from idvid.methods.locks import LOCKS
from idvid.methods.method import Keyframes, Method
from idvid.methods.none import NONE

_IN_ORDER = (NONE, CONTEXT, KEYFRAMES, LOCKS, FACE_AWARE, FULL)
METHODS: dict[str, Method] = {method.name: method for method in _IN_ORDER}

__all__ = ["METHODS", "Keyframes", "Method"]
