"""Snowflake: credentials, sessions, errors, and dlt's destination for it. It was not tried on an account."""
