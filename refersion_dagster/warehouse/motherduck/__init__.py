"""MotherDuck: DuckDB's dialect and dlt's destination of that name, with a lease for the one writer."""
