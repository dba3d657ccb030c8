"""Asset checks: conditions that tables must meet, and what a failure means for their readers."""
