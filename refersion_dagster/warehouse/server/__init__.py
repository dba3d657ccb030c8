"""What databases have in common that are reached through dlt's SQL client over a network."""
