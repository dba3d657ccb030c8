"""Refersion in your warehouse: a dlt source and a Dagster code location built on it."""
