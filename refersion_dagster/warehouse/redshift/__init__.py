"""Amazon Redshift: credentials, sessions, errors, and dlt's destination for it. Not tried on a real cluster."""
