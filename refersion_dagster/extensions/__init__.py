"""Commands for your own summaries and checks: `refersion-dagster new-summary` and `check-sql`."""
