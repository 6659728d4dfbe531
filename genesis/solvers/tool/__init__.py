"""Tools: kinematic bodies, moved by a velocity, that push particles and are not pushed back."""
