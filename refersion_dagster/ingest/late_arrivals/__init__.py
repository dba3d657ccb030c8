"""Changes older than the look-back window: found by totals, by counts, or by rereading in turn."""
