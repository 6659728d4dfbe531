"""What may stand for numbers and for indices, and what is refused in one sentence, with nothing changed."""

import numpy as np
import pytest
import torch

import genesis as gs
from genesis.engine.inputs import environments, indices, numeric

N = 3
WORDS = ("", "01", b"", b"\x00")
NO_INTEGERS = {
    **{
        repr(value): value for value in (True, False, 1.0, np.float32(1.0), np.True_, None, ..., *WORDS, {0: 1}, {0, 1})
    },
    **{
        repr(value): value
        for value in ([1.0], [True, 1], [np.True_, 0], [torch.tensor(True), 1], [None], [[0]], [[0], [1, 2]])
    },
    **{"array of " + kind: np.ones(1, kind) for kind in ("f4", "c8", "O", "U1", "M8[s]")},
    **{"array " + str(array.shape): array for array in (np.array(True), np.array([[0, 1]]))},
    "masked array": np.ma.array([0, 1], mask=[0, 1]),
    **{f"tensor {tensor}": tensor for tensor in (torch.tensor(True), torch.tensor(1.0), torch.tensor([[0]]))},
    "meta": torch.zeros(1, dtype=torch.int64, device="meta"),
    "sparse": torch.tensor([1]).to_sparse(),
    "type": int,
}
INTEGERS = {
    "1": (1, [1]),
    "np.int8": (np.int8(1), [1]),
    "array of no axis": (np.array(1), [1]),
    "tensor of no axis": (torch.tensor(1), [1]),
    "range": (range(2), [0, 1]),
    "list": ([2, 0], [2, 0]),
    "tuple": ((2, np.int64(0)), [2, 0]),
    "list of tensors": ([torch.tensor(2), torch.tensor(0)], [2, 0]),
    "nothing": ([], []),
    "other byte order": (np.array([2, 0], ">i4"), [2, 0]),
    "unsigned": (np.array([2, 0], ">u8"), [2, 0]),
    "backwards": (np.arange(3)[::-1], [2, 1, 0]),
    "int32 tensor": (torch.tensor([2, 0], dtype=torch.int32), [2, 0]),
}


@pytest.mark.parametrize("chosen", NO_INTEGERS.values(), ids=NO_INTEGERS)
def test_what_is_no_index_is_refused(chosen):
    if chosen is not None:
        with pytest.raises(gs.GenesisException, match=r"envs_idx must be|mask of environments must have shape"):
            environments(chosen, N)
        with pytest.raises(TypeError, match="links must be"):
            indices("links", chosen, N, "links")


@pytest.mark.parametrize("chosen, wanted", INTEGERS.values(), ids=INTEGERS)
def test_every_kind_of_integers_chooses(chosen, wanted):
    found = environments(chosen, N)
    assert found.tolist() == list(indices("links", chosen, N, "links")) == wanted and found.dtype == torch.int64


@pytest.mark.parametrize(
    "mask", [np.array([True, False, True]), [True, False, np.True_], torch.tensor([True, False, True])]
)
def test_a_mask_chooses_environments_only(mask):
    assert environments(mask, N).tolist() == [0, 2]
    assert environments(np.array([True, False, True, True])[::-1][:3], N).tolist() == [0, 1]
    with pytest.raises(TypeError, match="links must be integers, got a mask"):
        indices("links", mask, N, "links")
    with pytest.raises(ValueError, match=r"a mask of environments must have shape \(4,\), got \(3,\)"):
        environments(mask, 4)


@pytest.mark.parametrize("far", [3, -1, [0, 3], np.array([2**64 - 1], np.uint64)])
def test_indices_beyond_the_end_are_named(far):
    with pytest.raises(ValueError, match=r"envs_idx must lie in 0 … 2, got (3|-1|18446744073709551615)\."):
        environments(far, N)


def test_indices_are_a_copy():
    """What is given may be used again for something else while a graph still needs it."""
    for given in (np.array([2, 0]), torch.tensor([2, 0])):
        found = environments(given, N)
        given[0] = 1
        assert found.tolist() == [2, 0]


@pytest.mark.parametrize("kind", ["f2", "f4", "f8", "g", "i1", "i4", "i8", "u2", "u8"])
@pytest.mark.parametrize("order", "<>")
def test_numbers_of_every_size_and_byte_order(kind, order):
    array = np.array([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]]).astype(np.dtype(kind).newbyteorder(order))
    for view in (array, array[:, ::-1], array.T, np.asfortranarray(array)):
        assert numeric("pos", view, None).tolist() == view.astype(np.float64).tolist()


NO_NUMBERS = {
    **{repr(value): value for value in (True, np.True_, None, ..., *WORDS, {0: 1.0}, {1.0}, 2**70)},
    **{repr(value): value for value in (["1", "2"], [True, 0.5], [[0.5, np.True_]], [None], [[1.0], [1.0, 2.0]])},
    "list of bools": [np.array(True), 0.5],
    "list of tensors": [torch.ones(3)],
    "masked array": np.ma.array([1.0, 2.0], mask=[0, 1]),
    **{"array of " + kind: np.ones(3, kind) for kind in ("?", "c8", "O", "U1", "M8[s]", "m8[s]", "f4,f4")},
    **{f"tensor of {kind}": torch.ones(3, dtype=kind) for kind in (torch.bool, torch.complex64)},
    "meta": torch.zeros(3, device="meta"),
    "sparse": torch.ones(3).to_sparse(),
}


@pytest.mark.parametrize("value", NO_NUMBERS.values(), ids=NO_NUMBERS)
def test_what_is_no_number_is_refused(value):
    with pytest.raises(gs.GenesisException, match="pos must"):
        numeric("pos", value, None)


@pytest.fixture(scope="module")
def seen():
    """A scene of three environments with a robot, another one, and a camera."""
    scene = gs.Scene()
    scene.add_entity(gs.morphs.Box(size=(0.1, 0.1, 0.1)), material=gs.materials.Rigid(), name="box")
    scene.add_entity(gs.morphs.Robot(name="cartpole"), name="robot")
    scene.add_camera(res=np.array([8, 8], ">i2"))
    scene.build(n_envs=3)
    return scene


def test_arrays_from_files_set_values(seen):
    box = seen.entities[0]
    box.set_pos(np.array([[0.5, 0.25, 2.0]] * 2, ">f4"), envs_idx=np.array([2, 0], ">i8"))
    assert box.get_pos()[[0, 2]].tolist() == [[0.5, 0.25, 2.0]] * 2
    with pytest.raises(TypeError, match="envs_idx must be integers or a mask, got True"):
        box.set_pos([0.0, 0.0, 9.0], envs_idx=True)
    with pytest.raises(TypeError, match="zero_velocity must be True or False, got str"):
        box.set_pos([0.0, 0.0, 9.0], zero_velocity="no")
    assert box.get_pos()[:, 2].max() == 2.0


def test_links_and_names_of_another_kind(seen):
    box, robot = seen.entities[:2]
    camera = seen.cameras[0]
    camera.follow_entity(robot, link=np.int64(1))
    with pytest.raises(ValueError, match="link must be of 'robot', got 'box'|link must be of 'robot'"):
        camera.follow_entity(robot, link=box.links[0])
    for name in (["a"], np.array("a"), {}, 3.0, None):
        with pytest.raises(KeyError, match="link must be one of"):
            robot.get_link(name)
        with pytest.raises(KeyError, match="joint must be one of"):
            robot.get_joint(name)
    camera.unfollow_entity()


def test_a_picture_of_one_environment_has_no_axis_of_environments(seen):
    camera = seen.cameras[0]
    for one in (1, np.int32(1), np.array(1), torch.tensor(1)):
        assert camera.render(envs_idx=one)[0].shape == (8, 8, 3)
    assert camera.render(envs_idx=[1])[0].shape == (1, 8, 8, 3)


def test_marks_and_cameras_take_arrays_from_files_and_no_nonsense(seen):
    mark = seen.draw_debug_sphere(np.array([1, 2, 3], ">i2"))
    assert mark.pos.tolist() == [[1.0, 2.0, 3.0]]
    for wrong in ("abc", [True, 0.0, 0.0], {1: 2}, torch.zeros(3, device="meta"), ["1", "2", "3"]):
        with pytest.raises(gs.GenesisException, match="pos must"):
            seen.draw_debug_sphere(wrong)
        with pytest.raises(gs.GenesisException, match="pos must"):
            seen.cameras[0].set_pose(pos=wrong)
        with pytest.raises(gs.GenesisException, match="pos must"):
            seen.add_camera(pos=wrong)
    with pytest.raises(gs.GenesisException, match="res must be"):
        seen.add_camera(res=(True, True))
