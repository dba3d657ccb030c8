"""What people look at: published read-only copies of the summaries."""
