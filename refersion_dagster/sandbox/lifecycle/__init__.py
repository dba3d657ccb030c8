"""Events in the sandbox's account as time passes."""
