"""Which rows to read, page by page: time windows, verified paging, and statistics of what was read."""
