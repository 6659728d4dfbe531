"""Solvers: one physics each, nothing of autograd, scenes or each other."""
