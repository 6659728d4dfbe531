"""Contacts between two bodies of simple shape, as MuJoCo finds them, and their derivatives.

For each pair of kinds a function `meet` writes contacts as records (`layout.py`); `slopes` (`cases.py`) differentiates
a record, whichever pair it came from. Below the solvers: it knows shapes and poses, no links and no environments.
"""
