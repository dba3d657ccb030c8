"""Refersion's write operations: their input, request bodies and responses."""
