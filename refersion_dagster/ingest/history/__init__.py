"""Conversion history, the reads it is based on, and rows that were deleted at the source."""
