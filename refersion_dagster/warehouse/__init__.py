"""The databases that tables are loaded into, behind one small interface used by all code that reads or writes them.

SQL is written once, in DuckDB's dialect, and transpiled for other databases.
"""
