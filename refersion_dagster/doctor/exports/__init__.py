"""Checks of an account that is read from CSV exports."""
