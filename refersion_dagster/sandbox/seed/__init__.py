"""The seeded data that a sandbox starts with."""
