"""Operations in Dagster: jobs, their configuration, and what a run reports."""
