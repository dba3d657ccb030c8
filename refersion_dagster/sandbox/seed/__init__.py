"""The seeded world that a sandbox starts with."""
