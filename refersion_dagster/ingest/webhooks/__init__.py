"""Loads events of the webhook inbox into the warehouse."""
