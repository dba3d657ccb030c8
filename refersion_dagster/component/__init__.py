"""RefersionComponent: the definitions of one account inside another Dagster project."""
