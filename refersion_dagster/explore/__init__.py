"""A notebook over the published copies. It is part of the package, so that whoever installs that has it."""
