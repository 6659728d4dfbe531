"""Compiled robots are taken from the cache exactly as long as nothing that they come from has changed."""

import numpy as np
import pytest

from genesis.loaders import cache, files, load_mjcf, load_urdf

TREE = (
    '<mujoco><compiler meshdir="parts"/><include file="more.xml"/>'
    '<asset><mesh name="m" file="wedge.obj"/></asset>'
    '<worldbody><body name="b"><freejoint/><geom type="mesh" mesh="m"/></body></worldbody></mujoco>'
)
WEDGE = "v 0 0 0\nv 1 0 0\nv 0 1 0\nv 0 0 {top}\nf 1 3 2\nf 1 2 4\nf 1 4 3\nf 2 3 4\n"
MORE = '<mujoco><worldbody><geom type="plane" size="1 1 1" friction="{friction}"/></worldbody></mujoco>'


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A model of three files, and a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "parts").mkdir()
    (tmp_path / "robot.xml").write_text(TREE)
    (tmp_path / "more.xml").write_text(MORE.format(friction=1))
    (tmp_path / "parts" / "wedge.obj").write_text(WEDGE.format(top=1))
    return tmp_path


@pytest.fixture
def compilations(monkeypatch):
    """Counts how often MuJoCo compiles."""
    done = []
    compile_ = files._compile

    def counted(*given):
        done.append(given)
        return compile_(*given)

    monkeypatch.setattr(files, "_compile", counted)
    return done


def kept(folder):
    return list((folder / "cache").rglob("*.npz"))


def test_the_second_load_compiles_nothing_and_gives_the_same(folder, compilations):
    first, second = load_mjcf(folder / "robot.xml"), load_mjcf(folder / "robot.xml")
    assert len(compilations) == 1 and len(kept(folder)) == 1
    assert kept(folder)[0].parent == cache.folder()
    np.testing.assert_array_equal(first.geoms[0].vertices, second.geoms[0].vertices)
    assert first.grounds[0].friction == second.grounds[0].friction == 1
    assert first.name == second.name == "robot"


@pytest.mark.parametrize("changed", ["robot.xml", "more.xml", "parts/wedge.obj"])
def test_a_change_of_any_file_compiles_again(changed, folder, compilations):
    load_mjcf(folder / "robot.xml")
    (folder / "robot.xml").write_text(TREE.replace('name="b"', 'name="c"') if changed == "robot.xml" else TREE)
    (folder / "more.xml").write_text(MORE.format(friction=0.5 if changed == "more.xml" else 1))
    (folder / "parts" / "wedge.obj").write_text(WEDGE.format(top=2 if changed == "parts/wedge.obj" else 1))
    robot = load_mjcf(folder / "robot.xml")
    assert len(compilations) == 2
    assert robot.link_names == (("c",) if changed == "robot.xml" else ("b",))
    assert robot.grounds[0].friction == (0.5 if changed == "more.xml" else 1)
    assert np.ptp(robot.geoms[0].vertices, axis=0).max() > (1.5 if changed == "parts/wedge.obj" else 0)


def test_settings_and_versions_are_part_of_the_key(folder, compilations, monkeypatch):
    load_mjcf(folder / "robot.xml")
    assert load_mjcf(folder / "robot.xml", fixed=True).n_dofs == 0
    monkeypatch.setattr(cache, "LOADER_VERSION", 0)
    load_mjcf(folder / "robot.xml")
    monkeypatch.setattr(files, "mujoco_version", lambda: "0")
    load_mjcf(folder / "robot.xml")
    assert len(compilations) == len(kept(folder)) == 4


@pytest.mark.parametrize("damage", [b"", b"no archive", b"PK\x03\x04 half an archive"])
def test_a_damaged_entry_is_compiled_again_and_mended(damage, folder, compilations):
    load_mjcf(folder / "robot.xml")
    kept(folder)[0].write_bytes(damage)
    for _ in range(2):
        assert load_mjcf(folder / "robot.xml").n_links == 1
    assert len(compilations) == 2


def test_a_cache_that_cannot_be_written_is_no_error(folder, compilations, monkeypatch):
    (folder / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "file"))
    assert load_mjcf(folder / "robot.xml").n_links == 1


def test_what_was_left_out_is_told_each_time(folder, compilations, caplog):
    (folder / "robot.xml").write_text(TREE.replace('mesh="m"/>', 'mesh="m" condim="1"/>'))
    for _ in range(2):
        caplog.clear()
        load_mjcf(folder / "robot.xml", allow=["condim"])
        assert any("condim" in message for message in caplog.messages)
    assert len(compilations) == 1


def test_refusals_are_not_kept(folder, compilations):
    (folder / "robot.xml").write_text(TREE.replace('mesh="m"/>', 'mesh="m" condim="1"/>'))
    for _ in range(2):
        with pytest.raises(ValueError, match="condim"):
            load_mjcf(folder / "robot.xml")


def test_cache_false_leaves_no_trace(folder, compilations):
    load_mjcf(folder / "robot.xml", cache=False)
    assert not (folder / "cache").exists()


def test_meshes_of_a_urdf_are_part_of_the_key(folder, compilations):
    inertia = '<inertial><mass value="1"/><inertia ixx="1" ixy="0" ixz="0" iyy="1" iyz="0" izz="1"/></inertial>'
    shape = '<collision><geometry><mesh filename="package://parts/wedge.obj"/></geometry></collision>'
    (folder / "robot.urdf").write_text(f'<robot name="r"><link name="base">{inertia}{shape}</link></robot>')
    load_urdf(folder / "robot.urdf")
    load_urdf(folder / "robot.urdf")
    assert len(compilations) == 1
    (folder / "parts" / "wedge.obj").write_text(WEDGE.format(top=3))
    assert np.ptp(load_urdf(folder / "robot.urdf").geoms[0].vertices, axis=0).max() > 2.5


def test_no_half_written_file_is_left(folder, compilations):
    load_mjcf(folder / "robot.xml")
    assert [path.suffix for path in cache.folder().iterdir()] == [".npz"]
    assert not any(path.name.startswith(".") for path in cache.folder().iterdir())
