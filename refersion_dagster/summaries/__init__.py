"""SQL assets: each file in sql/ is one SELECT with a header and becomes one table of refersion_summaries."""
