"""What statements cost, in databases that are billed by bytes or by time."""
