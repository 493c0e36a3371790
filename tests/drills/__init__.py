"""Drills: faults put into a running stack, one for each alert. Run by `make drill`, no part of `make test`."""
