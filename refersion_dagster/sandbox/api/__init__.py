"""Both of Refersion's APIs on the sandbox's account."""
