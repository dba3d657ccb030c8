"""Loads the CSV exports of an account without API into the raw tables."""
