"""Judging drift: how much each character of a clip looks like their photos. Knows no generator."""
