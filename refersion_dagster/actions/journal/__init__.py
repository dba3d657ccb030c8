"""The journal of sent items and their outcomes, and the result tables built from it."""
