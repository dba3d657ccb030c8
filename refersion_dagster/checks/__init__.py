"""Asset checks: what has to hold of the tables, and what it means for whoever reads them when it does not."""
