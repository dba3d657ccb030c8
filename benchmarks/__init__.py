"""Benchmarks, run manually: `python -m benchmarks.ingest`."""
