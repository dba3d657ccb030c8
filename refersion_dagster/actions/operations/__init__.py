"""What Refersion's write operations accept, send and answer."""
