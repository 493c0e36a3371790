"""How it runs: the local stack."""
