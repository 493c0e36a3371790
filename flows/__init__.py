"""Composition: the only place that knows Prefect, and the command line over it."""
