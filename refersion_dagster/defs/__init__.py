"""Your own definitions. `dg scaffold defs` writes them here; the code location loads them with its own."""
