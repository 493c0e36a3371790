"""The read side: queries, exporter, reports, rules."""
