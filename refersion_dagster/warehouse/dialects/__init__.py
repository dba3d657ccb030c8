"""SQL in DuckDB's dialect, put into the words of the databases: one module for each dialect."""
