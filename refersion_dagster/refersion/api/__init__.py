"""Refersion over HTTP: credentials, one retried POST, REST v2, GraphQL and what an account's schema offers."""
