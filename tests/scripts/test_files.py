"""The program that counts which model files of a folder load."""

import json

from scripts.benchmarks.files import Files, distinct
from scripts.benchmarks.files_child import reasons

BODY = '<worldbody><body><freejoint/><geom size=".1"/></body></worldbody>'
FILES = {
    "one/good.xml": f"<mujoco>{BODY}</mujoco>",
    "one/copy.xml": f"<mujoco>{BODY}</mujoco>",
    "one/slip.xml": f'<mujoco><option noslip_iterations="3"/>{BODY}</mujoco>',
    "one/still.xml": "<mujoco/>",
    "one/part.xml": "<mujocoinclude/>",
    "one/bad.xml": "<mujoco><gone/></mujoco>",
    "two/massless.urdf": '<robot name="r"><link name="base"/></robot>',
}


def test_files_are_counted_by_what_they_are_refused_for(tmp_path, capsys):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert len(distinct(tmp_path)) == len(FILES) - 1
    found = Files(tmp_path, repair=True, json=tmp_path / "report.json").run()["files"]
    kinds = {row["path"].rsplit("/", 1)[1]: row for row in found}
    assert {name for name, row in kinds.items() if "skipped" in row} == {"still.xml", "part.xml", "bad.xml"}
    assert kinds["copy.xml"]["reasons"] == [] and kinds["slip.xml"]["reasons"] == ["noslip"]
    assert kinds["massless.urdf"]["repairs"] == ["mass"]
    assert json.loads((tmp_path / "report.json").read_text())["files"] == found
    told = capsys.readouterr().out
    assert "MJCF: 1 of 2 load; left out: 3" in told and "URDF: 1 of 1 load; left out: 0" in told
    assert "| one    | 1 of 2 |        |" in told and "| two    |        | 1 of 1 |" in told


def test_reasons_without_what_is_a_files_own():
    features = "'/a/b.xml' must hold supported elements only, got flag: sleep enabled; tendon: t, u. Remove them, or"
    assert reasons(features, "/a/b.xml") == ["flag", "tendon"]
    own = "'/a/b.xml' must be a model that MuJoCo compiles, got: Error: size 0 of 'g' in /a/c.stl. Correct it."
    assert reasons(own, "/a/b.xml") == ["Error: size … of … in … Correct it."]
