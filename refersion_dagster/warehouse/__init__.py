"""Where tables land: one small interface that everything which reads or writes them goes through.

SQL is written once, in DuckDB's dialect, and transpiled for other databases.
"""
