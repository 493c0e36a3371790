"""The edges: one outside system a file. Siblings do not import one another, except settings and errors."""
