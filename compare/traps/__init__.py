"""Conventions in which two correct programs differ, and which of them a curve follows."""
