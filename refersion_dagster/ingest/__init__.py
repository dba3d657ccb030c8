"""Refersion's tables as Dagster assets, loaded by dlt."""
