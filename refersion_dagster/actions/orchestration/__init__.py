"""The write operations in Dagster: jobs, their configuration and their reports."""
