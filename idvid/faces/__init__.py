"""Faces: find, align, embed, check, follow and name them. Owns the judge; knows no generator."""
