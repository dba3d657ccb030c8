"""Translation of SQL from DuckDB's dialect to those of other databases: one module for each dialect."""
