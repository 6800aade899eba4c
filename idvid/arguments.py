"""Command line arguments: their types, the sentence where they do not fit, and those that are shared."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from idvid.config import LORA_KINDS, QUANTISATIONS

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


def add_extras(parser: argparse.ArgumentParser) -> None:
    """What may be added to a model, for every command that plans or runs one."""
    parser.add_argument("--quantise", choices=QUANTISATIONS, default="none", help="of a Hub model")
    parser.add_argument("--adapter", help="identity adapter for VACE: a folder or owner/name")
    parser.add_argument(
        "--lora", help="LoRA for VACE: folder or owner/name, then :FILE, or address"
    )
    parser.add_argument(
        "--lora-kind",
        choices=LORA_KINDS,
        default=LORA_KINDS[0],
        help="few-step: 4 steps, guidance 1, flow shift 5; style: the model's own; auto: its name says",
    )
