"""Sends a plan one call at a time and records each call in the journal."""
