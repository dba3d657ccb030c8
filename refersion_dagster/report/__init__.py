"""Outputs for people: published read-only copies of the summaries, the commission report and statements."""
