"""Worked examples of system identification, and how often their intervals are right."""
