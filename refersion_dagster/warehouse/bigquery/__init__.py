"""BigQuery: credentials, sessions, errors, and dlt's destination for it."""
