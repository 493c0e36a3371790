"""Measurements; ratios within one run, since absolute numbers belong to a machine."""
