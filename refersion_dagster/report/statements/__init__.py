"""Statements: what was earned, approved, reversed and paid, for each affiliate and month."""
