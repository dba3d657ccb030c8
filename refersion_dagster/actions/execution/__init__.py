"""Sending a plan, one call at a time, with the journal around each call."""
