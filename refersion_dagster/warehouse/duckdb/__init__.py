"""DuckDB: the file, dlt's destination for it, and the merge."""
