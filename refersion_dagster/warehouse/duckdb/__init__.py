"""DuckDB: the file, dlt's destination for it, and its merge."""
