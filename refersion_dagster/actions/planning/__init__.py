"""Decides whether items may be sent: input files, validation and the preflight against the warehouse."""
