"""Events of the webhook inbox in the warehouse."""
