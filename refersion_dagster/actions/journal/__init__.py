"""What was sent and how it ended: the journal, and the result tables made from it."""
