"""Spark as an engine: SELECTs on the user's own cluster, through Spark Connect."""
