"""Selects and reads rows page by page: time windows, verified paging, and read statistics."""
