"""A local Refersion over real HTTP."""
