"""A notebook over the published copies, installed with the package."""
