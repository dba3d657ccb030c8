"""MotherDuck: DuckDB's dialect, dlt's destination `motherduck`, and a lease that allows one writer at a time."""
