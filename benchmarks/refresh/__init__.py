"""A complete refresh by this project, compared with a plain dlt load and dbt."""
