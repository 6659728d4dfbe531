"""Tensors that come from stand-ins for scenes."""

import pytest

import genesis as gs


class Scene:
    """Stands for a scene: anything that can be referred to weakly."""

    def __init__(self, name):
        self.name = name

    def __repr__(self):
        return f"<scene {self.name}>"


@pytest.fixture
def scene():
    return Scene("one")


@pytest.fixture
def other():
    return Scene("two")


@pytest.fixture
def x(scene):
    return gs.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]], scene=scene, requires_grad=True)
