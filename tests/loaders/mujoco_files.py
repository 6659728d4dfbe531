"""Files for MuJoCo's contact model, as text, and how they are loaded."""

import pytest

from genesis.loaders import load_mjcf

mujoco = pytest.importorskip("mujoco")

EVERYTHING = """<mujoco><option timestep="0.004" integrator="implicitfast" cone="elliptic" impratio="3" iterations="7"
  tolerance="1e-9" ls_iterations="11" gravity="0 1 -5" density="1.2" viscosity="0.1" wind="1 2 3" solver="CG">
  <flag refsafe="disable" eulerdamp="disable" warmstart="disable" filterparent="disable"/></option>
<asset><hfield name="hills" nrow="3" ncol="3" elevation="0 1 2 3 4 5 6 7 8" size="1 1 .5 .25"/></asset>
<worldbody><geom name="floor" type="plane" size="1 1 1" pos="0 0 -3" condim="6" margin=".01"/>
<geom name="land" type="hfield" hfield="hills" pos="5 0 0" gap=".02"/>
<body name="a"><joint name="free" type="free" stiffness="3" frictionloss=".2" solreffriction=".03 1.5"
    solimpfriction=".8 .9 .01 .4 3"/>
  <geom name="g" size=".1" condim="4" friction=".4 .02 .003" margin=".03" gap=".01" solref="-200 -10"
    solimp="0 .9 .02 .6 1" solmix="2.5" priority="3" contype="5" conaffinity="6"/>
  <body name="welded" pos="0 0 .2" quat=".6 .8 0 0"><geom name="w" type="box" size=".1 .2 .3"/></body>
  <body name="b" pos="0 0 1"><joint name="ball" type="ball" range="0 40" limited="true" margin=".05" stiffness="4"
      solreflimit=".05 .7" solimplimit=".7 .8 .03 .3 4"/><geom size=".1"/>
    <body name="c" pos="0 0 1"><joint name="hinge" range="-30 50" ref="10" stiffness="5" springref="20" armature=".3"
      damping=".2" actuatorfrcrange="-4 6"/><geom size=".1"/></body></body></body>
<body name="s" pos="3 0 0"><joint name="slide" type="slide" range="-1 2"/><geom size=".2"/></body></worldbody>
<contact><exclude body1="s" body2="welded"/></contact>
<actuator><general name="plain" joint="hinge" gear="3" gaintype="affine" gainprm="1 2 3" biastype="affine"
    biasprm="4 5 6" ctrlrange="-1 2" forcerange="-3 4"/>
  <general name="vector" joint="ball" gear="1 2 3" dyntype="filter" dynprm=".3" actrange="-1 3" actearly="true"/>
  <general name="six" joint="free" gear="1 2 3 4 5 6"/>
  <general name="sum" joint="slide" dyntype="integrator" biasprm="9 9 9"/>
  <general name="exact" joint="slide" dyntype="filterexact" dynprm=".2" gainprm="2 7 7"/></actuator></mujoco>"""
BODY = '<worldbody><body name="b"><joint name="j" {joint}/><geom name="g" size=".1" {geom}/></body></worldbody>'


def load(path, **settings):
    return load_mjcf(path, cache=False, contact="mujoco", **settings)


def from_text(tmp_path, text, **settings):
    (tmp_path / "model.xml").write_text(text)
    return load(tmp_path / "model.xml", **settings), mujoco.MjModel.from_xml_string(text)
