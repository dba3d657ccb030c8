"""Statements: earned, approved, reversed and paid commission of each affiliate and month."""
