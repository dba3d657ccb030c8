"""The common part of databases that are reached over a network through dlt's SQL client."""
