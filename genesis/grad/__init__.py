"""Tensors that remember their scene, and the bridge between the simulator and torch's autograd graph."""
