"""Types of command line arguments: what they accept, and the sentence where they do not."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


def whole(low: int, high: int) -> Callable[[str], int]:
    """An argument type: a whole number from low to high."""

    def parse(text: str) -> int:
        if text.isascii() and text.isdigit() and low <= int(text) <= high:
            return int(text)
        raise argparse.ArgumentTypeError(f"must be a whole number from {low} to {high}")

    return parse


def size(text: str) -> tuple[int, int]:
    """An argument type: width x height in pixels."""
    parts = text.lower().split("x")
    if len(parts) == 2 and all(p.isascii() and p.isdigit() and len(p) <= 4 for p in parts):
        return int(parts[0]), int(parts[1])
    raise argparse.ArgumentTypeError("must be width and height in pixels, such as 832x480")


def number(low: float, high: float) -> Callable[[str], float]:
    """An argument type: a number from low to high; NaN is no number."""

    def parse(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = float("nan")
        if low <= value <= high:
            return value
        raise argparse.ArgumentTypeError(f"must be a number from {low:g} to {high:g}")

    return parse
