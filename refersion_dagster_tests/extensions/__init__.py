"""Own summaries and checks: files in folders, beside the shipped ones."""
