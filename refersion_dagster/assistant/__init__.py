"""`refersion-dagster mcp`: answers for AI assistants, read-only, from the published copies."""
