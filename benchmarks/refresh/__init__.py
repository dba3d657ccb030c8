"""A whole refresh by this project, against a plain dlt load and dbt."""
