"""What runs: jobs, and later what starts them."""
