"""Names of the public Genesis engine (genesis-world) that its scripts write and that have nothing here to act on.

Its names that act here are those of functions and classes themselves. The rest stands here: arguments that are without
effect, as a notice says, and what an error refuses that says what to write instead. `genesis.public_engine` does both.
"""

from typing import Any, NamedTuple


class Ignored(NamedTuple):
    """An argument that is without effect; any value but the default is told once."""

    reason: str
    default: Any = None


class Refused(NamedTuple):
    """An argument of which only the default can be had; any other value raises."""

    remedy: str
    default: Any = None


class Spelt(NamedTuple):
    """An argument that has another name here."""

    here: str


NO_WINDOW = "there is no window. Pictures come from scene.add_camera, a rollout in the browser from scripts.view"
WEB_VIEWER = "python -m scripts.view --env genesis/SoftPush-v0 --port 8080"
LIGHTS = "light and background are fixed"
FRAMES = "frames and bounds are not drawn"
AS_NEEDED = "memory and work follow from the scene"
SEPARATE = "environments are drawn one by one"
MATTE = "surfaces are matte and of one colour"
LENSES = "pictures are those of a pinhole, sharp at all distances"
MESHES = "shapes of files are taken as they are, hulls of their points where they touch"
NEWTON = "contact is solved by Newton's method until it has converged"
COUPLING = "What touches what follows from materials: leave it out"
NUMBERS = "Set numbers by entity.set_geoms_solref, or in the robot's file"

_SOLID: dict[str, Ignored | Refused | Spelt] = {
    "visualization": Refused("Give it a surface; what nobody should see is left out", True),
    "collision": Refused("Leave out what should touch nothing", True),
    "requires_jac_and_IK": Ignored("get_jacobian and inverse_kinematics are always there", False),
    "contype": Refused("Groups of what touches stand in an MJCF file", 0xFFFF),
    "conaffinity": Refused("Groups of what touches stand in an MJCF file", 0xFFFF),
    "batch_fixed_verts": Ignored(AS_NEEDED, True),
}
ARGUMENTS: dict[str, dict[str, Ignored | Refused | Spelt]] = {
    "SimOptions": {
        "substeps_local": Ignored("memory is bounded by frame_budget_mb"),
        "floor_height": Refused("Add a Plane where the floor is to be", 0.0),
        "use_hydroelastic_contact": Refused("Contact is that of RigidOptions.contact", False),
    },
    "ToolOptions": {"floor_height": Refused("Add a Plane of material Tool where the floor is to be")},
    "MPMOptions": {
        "enable_CPIC": Refused("Thin bodies need a finer grid: raise grid_density", False),
        "use_sparse_grid": Ignored(AS_NEEDED, False),
        "leaf_block_size": Ignored(AS_NEEDED, 8),
    },
    "RigidOptions": {
        "enable_self_collision": Spelt("self_collision"),
        "enable_neutral_collision": Ignored("links that overlap at the start touch, unless their file says no", True),
        "enable_adjacent_collision": Refused("A link does not touch its parent", False),
        "enable_multi_contact": Ignored("shapes touch at as many points as they have", True),
        "enable_mujoco_compatibility": Ignored("contact is MuJoCo's", True),
        "use_contact_island": Ignored(AS_NEEDED, False),
        "use_hibernation": Ignored("what rests is computed like everything else", False),
        "hibernation_thresh_vel": Ignored("nothing sleeps"),
        "hibernation_thresh_acc": Ignored("nothing sleeps"),
        "max_collision_pairs": Ignored("all contacts are kept"),
        "multiplier_collision_broad_phase": Ignored("all contacts are kept"),
        "max_dynamic_constraints": Ignored("all constraints are kept"),
        "broadphase_traversal": Ignored(AS_NEEDED),
        "box_box_detection": Ignored("pairs of shapes have algorithms of their own"),
        "use_gjk_collision": Ignored("pairs of shapes have algorithms of their own"),
        "IK_max_targets": Ignored(AS_NEEDED),
        "batch_links_info": Ignored("numbers may differ between environments in any case"),
        "batch_joints_info": Ignored("numbers may differ between environments in any case"),
        "batch_dofs_info": Ignored("numbers may differ between environments in any case"),
        "constraint_solver": Ignored(NEWTON, "Newton"),
        "ls_iterations": Ignored(NEWTON),
        "ls_tolerance": Ignored(NEWTON),
        "sparse_solve": Ignored(NEWTON),
        "prefer_parallel_linesearch": Ignored(NEWTON),
        "noslip_iterations": Refused("Raise MujocoContact.impratio against slip", 0),
        "noslip_tolerance": Ignored("there is no pass against slip"),
        "constraint_timeconst": Refused(NUMBERS),
        "contact_resolve_time": Refused(NUMBERS),
    },
    "VisOptions": {
        "show_world_frame": Ignored(FRAMES, False),
        "world_frame_size": Ignored(FRAMES),
        "show_link_frame": Ignored(FRAMES, False),
        "link_frame_size": Ignored(FRAMES),
        "show_cameras": Ignored(FRAMES, False),
        "visualize_mpm_boundary": Ignored(FRAMES, False),
        "visualize_sph_boundary": Ignored(FRAMES, False),
        "visualize_pbd_boundary": Ignored(FRAMES, False),
        "shadow": Ignored(LIGHTS),
        "plane_reflection": Ignored(LIGHTS, False),
        "background_color": Ignored(LIGHTS),
        "ambient_light": Ignored(LIGHTS),
        "lights": Ignored(LIGHTS),
        "env_separate_rigid": Ignored(SEPARATE, True),
        "rendered_envs_idx": Ignored(f"{SEPARATE}: camera.render(envs_idx=...)"),
        "n_rendered_envs": Ignored(f"{SEPARATE}: camera.render(envs_idx=...)"),
        "segmentation_level": Refused("Segmentation is by entity: leave it out", "entity"),
        "render_particle_as": Refused("Particles are balls, or a surface with vis_mode='recon'", "sphere"),
        "particle_size_scale": Ignored("particles are as large as their volume"),
        "contact_force_scale": Ignored("contact forces are not drawn"),
        "n_support_neighbors": Ignored("bodies of particles are drawn by their particles"),
    },
    "ViewerOptions": dict.fromkeys(
        "res run_in_thread refresh_rate max_FPS camera_pos camera_lookat camera_up camera_fov enable_help_text "
        "enable_default_keybinds enable_interaction".split(),
        Ignored(NO_WINDOW),
    ),
    "Scene.__init__": {
        "show_FPS": Ignored("scripts.benchmark measures speed", False),
        "profiling_options": Ignored("scripts.benchmark measures speed"),
        "renderer": Ignored("there is one renderer"),
        "coupler_options": Refused(COUPLING),
        "kinematic_options": Refused("Bodies that move as they are told are of material Tool"),
        **{f"{kind}_options": Refused(f"There is no {kind.upper()} solver: use MPM") for kind in ("sph", "pbd", "fem")},
        "sf_options": Refused("There is no smoke"),
    },
    "Timer.__init__": {
        "level": Ignored("times are not nested"),
        "qd_sync": Ignored("steps end before they return", False),
    },
    "Scene.add_entity": {"visualize_contact": Ignored("contact forces are not drawn", False)},
    "Scene.build": {
        "env_spacing": Ignored(SEPARATE),
        "n_envs_per_row": Ignored(SEPARATE),
        "center_envs_at_origin": Ignored(SEPARATE, True),
        "compile_kernels": Ignored("kernels are compiled when they are first used", False),
    },
    "Scene.step": {
        "update_visualizer": Ignored("pictures are made when they are asked for", True),
        "refresh_visualizer": Ignored("pictures are made when they are asked for", True),
    },
    "Scene.add_camera": {
        "model": Refused("There are no lenses: leave it out", "pinhole"),
        "GUI": Ignored(NO_WINDOW, False),
        "aperture": Ignored(LENSES),
        "focus_dist": Ignored(LENSES),
        "near": Ignored(LENSES),
        "far": Ignored(LENSES),
        "spp": Ignored("pictures have no noise"),
        "denoise": Ignored("pictures have no noise"),
        "debug": Ignored("cameras see marks in any case", False),
        "env_idx": Refused("Call camera.render(envs_idx=...)"),
    },
    "Camera.render": {
        "colorize_seg": Refused("Give colours to the integers of the segmentation", False),
        "antialiasing": Ignored("edges are smooth in any case"),
        "force_render": Ignored("every call takes a picture", False),
    },
    "Camera.set_pose": {"transform": Refused("Pass pos, lookat and up")},
    "Camera.follow_entity": {
        "smoothing": Refused("Call set_pose with a mean of your own"),
        "fix_orientation": Refused("The direction of view is fixed in any case", False),
    },
    "RigidEntity.set_pos": {
        "skip_forward": Ignored("getters compute what is asked of them", False),
        "relative": Refused("Add it to get_pos()", False),
    },
    "RigidEntity.set_quat": {
        "skip_forward": Ignored("getters compute what is asked of them", False),
        "relative": Refused("Multiply it with get_quat()", False),
    },
    "RigidEntity.set_qpos": {"skip_forward": Ignored("getters compute what is asked of them", False)},
    "RigidEntity.set_dofs_position": {"skip_forward": Ignored("getters compute what is asked of them", False)},
    "RigidEntity.set_dofs_velocity": {"skip_forward": Ignored("getters compute what is asked of them", False)},
    "ParticleMaterial": {"lam": Refused("Pass E and nu"), "mu": Refused("Pass E and nu")},
    "Tool": {
        "collision": Refused("A tool that touches nothing is not needed", True),
    },
    "Rigid": {
        "needs_coup": Refused("Particles touch all shapes that touch", True),
        "coup_restitution": Refused("Particles do not bounce", 0.0),
        "gravity_compensation": Refused('Write gravcomp="1" into the body of an MJCF file', 0.0),
        "sdf_cell_size": Ignored("shapes know their distances"),
        "sdf_min_res": Ignored("shapes know their distances"),
        "sdf_max_res": Ignored("shapes know their distances"),
    },
    "SolidMorph": _SOLID,
    "Plane": {
        "fixed": Refused("A plane does not move", True),
        "plane_size": Ignored("planes have no edges"),
        "tile_size": Ignored("squares have the size that suits the picture"),
        **{name: _SOLID[name] for name in ("visualization", "collision", "requires_jac_and_IK")},
    },
    "FileMorph": {
        "scale": Refused("Write the sizes into the file", 1.0),
        "decimate": Ignored(MESHES),
        "decimate_face_num": Ignored(MESHES),
        "decimate_aggressiveness": Ignored(MESHES),
        "convexify": Refused("Shapes that touch are convex: cut them in the file", True),
        "decompose_object_error_threshold": Ignored(MESHES),
        "decompose_robot_error_threshold": Ignored(MESHES),
        "coacd_options": Ignored(MESHES),
        "recompute_inertia": Refused("Leave the inertia out of the file", False),
        "align": Ignored(MESHES),
        "file_meshes_are_zup": Ignored(MESHES, True),
        "prioritize_urdf_material": Ignored("colours are those of the surface, or else of the file"),
        "merge_fixed_links": Refused("Links that are fixed to each other are one", True),
        "links_to_keep": Ignored("entity.get_link tells where links that were merged are"),
        "default_armature": Refused("Call entity.set_dofs_armature"),
        **{name: _SOLID[name] for name in ("visualization", "collision", "batch_fixed_verts")},
        "requires_jac_and_IK": Ignored("get_jacobian and inverse_kinematics are always there", True),
    },
    "Mesh": {
        **dict.fromkeys(
            "decimate decimate_face_num decimate_aggressiveness decompose_object_error_threshold "
            "decompose_robot_error_threshold coacd_options group_by_material merge_submeshes_for_collision "
            "file_meshes_are_zup align".split(),
            Ignored("a mesh is one body, taken as it is"),
        ),
        "convexify": Ignored(
            "rigid bodies touch as convex hulls, one or with decompose=True several; others as they are"
        ),
        "decompose_nonconvex": Spelt("decompose"),
        "recompute_inertia": Ignored("a mesh is of even density", False),
    },
    "Terrain": {
        "height_field": Refused("Pass heights=vertical_scale * height_field"),
        "horizontal_scale": Spelt("spacing"),
        "vertical_scale": Refused("Pass heights=vertical_scale * height_field"),
        **dict.fromkeys(
            ("n_subterrains", "subterrain_size", "subterrain_types", "randomize", "subterrain_parameters"),
            Refused("Pass heights, which numpy makes"),
        ),
    },
    "Default": {
        name: Ignored(MATTE)
        for name in "opacity roughness metallic emissive ior default_roughness smooth double_sided diffuse_texture "
        "specular_texture opacity_texture roughness_texture metallic_texture normal_texture emissive_texture "
        "specular_trans diffuse_trans generate_foam recon_backend".split()
    },
}
"""Of a class (those of its bases count, too) or a function, by its qualified name."""

_NO_MATTER = dict.fromkeys(("PBD", "SPH", "FEM"), "Bodies of particles are of materials.MPM")
_INSIDE = "Entities have setters and getters of all that can be read and changed"
ATTRIBUTES: dict[str, dict[str, str]] = {
    "gs": {
        "sensors": "Robots have get_imu, get_contacts and get_force_torque; cameras are scene.add_camera",
        "recorders": "Keep what getters return, and write it with torch.save",
        "force_fields": "Call robot.set_links_wrench, or scene.set_gravity",
        "Mesh": "Meshes come from files",
        "states": "What get_state returns can be saved by torch.save",
        "broadphase_traversal": "Leave it out: pairs that can touch are found by what the scene needs",
        "metal": "Use gs.cpu or gs.cuda",
        "amdgpu": "Use gs.cpu or gs.cuda",
        "raise_exception": "Raise gs.GenesisException",
    },
    "gs.options": {
        **{f"{kind}Options": f"There is no {kind} solver: use MPM" for kind in ("SPH", "PBD", "FEM")},
        "SFOptions": "There is no smoke",
        **dict.fromkeys(
            ("BaseCouplerOptions", "LegacyCouplerOptions", "SAPCouplerOptions", "IPCCouplerOptions"), COUPLING
        ),
        "KinematicOptions": "Bodies that move as they are told are of material Tool",
        "ProfilingOptions": "scripts.benchmark measures speed",
    },
    "gs.morphs": {
        "Nowhere": "Add a body of all that is to flow, and switch particles on by entity.set_active",
        "MeshSet": "Add the meshes one by one",
        "Drone": "gs.morphs.Robot(name='quadrotor') has one",
        "USD": "Write the scene as MJCF or URDF",
    },
    "gs.materials": {
        **_NO_MATTER,
        "SF": "There is no smoke",
        "Hybrid": "Attach particles to links by entity.attach",
        "Kinematic": "Bodies that move as they are told are of material Tool",
    },
    "gs.surfaces": {"Emission": "Nothing shines: use Default", "Glass": "Nothing is transparent: use Default"},
    "gs.renderers": {
        "RayTracer": "camera.export(path) writes files that Blender opens",
        "BatchRenderer": "camera.render() takes pictures of all environments",
    },
    "gs.textures": {"BatchTexture": "Surfaces have one colour: pass color"},
    "gs.tools": {
        "animate": "camera.start_recording() and stop_recording(path) write a video",
        "save_img_arr": "camera.export(path) writes a picture",
        "FPSTracker": "scripts.benchmark measures speed",
        "Rate": "time.sleep waits",
        "create_timer": "Use Timer()",
    },
    "Scene": {
        "sim": "scene.solvers, scene.rigid_solver, scene.dt and scene.t are the scene's own",
        "viewer": f"There is no window: {WEB_VIEWER} shows an environment in the browser",
        "visualizer": "Pictures come from scene.add_camera",
        "add_sensor": "Robots have get_imu, get_contacts and get_force_torque; cameras are scene.add_camera",
        "add_light": "Light is fixed",
        "add_mesh_light": "Light is fixed",
        "add_stage": "Write the scene as MJCF or URDF",
        "add_force_field": "Call robot.set_links_wrench, or scene.set_gravity",
        "link_entities": "Attach bodies in the robot's file, particles by entity.attach",
        "start_recording": "Cameras have start_recording; keep what getters return",
        "stop_recording": "Cameras have stop_recording",
        "render_all_cameras": "Call render() of each of scene.cameras",
        "save_checkpoint": "torch.save(scene.get_state(), path)",
        "load_checkpoint": "scene.reset(torch.load(path))",
        "backward": "Call loss.backward()",
        "destroy": "del scene frees it",
        "coupler": COUPLING,
        **{
            f"draw_debug_{form}": "Draw with draw_debug_sphere and draw_debug_line"
            for form in ("arrow", "frame", "frames", "mesh", "spheres", "box", "points", "path")
        },
        **{f"{kind}_solver": f"There is no {kind.upper()} solver: use MPM" for kind in ("sph", "pbd", "fem")},
        "sf_solver": "There is no smoke",
        "kinematic_solver": "Bodies that move as they are told are of material Tool",
    },
    "SolverView": dict.fromkeys(
        "collider constraint_solver links_info links_state dofs_info dofs_state geoms_info geoms_state get_links_pos "
        "get_links_quat get_links_vel get_dofs_position set_dofs_position n_dofs n_links n_geoms particles".split(),
        _INSIDE,
    ),
    "Camera": {
        "attach": "Call follow_entity(entity, link=...)",
        "detach": "Call unfollow_entity()",
        "move_to_attach": "Call follow_entity(entity, link=...)",
        "render_pointcloud": "render(depth=True) gives depths; intrinsics and extrinsics turn them into points",
        "get_quat": "get_transform() has the axes",
        "set_params": "Add another camera",
        **{
            name: f"Pictures are {LENSES.removeprefix('pictures are ')}"
            for name in ("aperture", "focus_dist", "near", "far")
        },
        **{name: f"Call get_{name}()" for name in ("pos", "lookat", "up", "transform")},
    },
    "RigidEntity": {
        "set_friction_ratio": "Call set_friction(ratio * get_friction())",
        "set_mass_shift": "Call set_mass(get_links_mass() + shift)",
        "set_links_inertial_mass": "Call set_mass",
        "get_links_inertial_mass": "Call get_links_mass",
        "set_COM_shift": "Write the centre of mass into the file; set_inertia changes how mass is spread",
        "get_dofs_force": "get_dofs_control_force has what controls exert, get_links_wrench what contacts do",
        "get_AABB": "Take the extent of get_links_pos() and of the shapes in geoms",
        "get_verts": "geoms has the shapes, get_links_pos and get_links_quat their frames",
        "get_links_net_contact_force": "Sum get_contacts().force by its link_idx",
        "get_links_acc": "Build with outputs=('link_acceleration',), and call get_links_acceleration",
        "get_links_acc_ang": "Build with outputs=('link_acceleration',), and call get_links_acceleration",
        "detect_collision": "Build with outputs=('contacts',), and call get_contacts().touching",
        "plan_path": "There is no planner of paths: interpolate between results of inverse_kinematics",
        "set_links_invweight": "Call refresh_invweights after masses have changed",
        "set_dofs_invweight": "Call refresh_invweights after masses have changed",
        "set_dofs_act_gain": "Call set_actuators_gain",
        "set_dofs_act_bias": "Call set_actuators_bias",
        "n_geoms_visual": "geoms has what touches, model.visuals what is only seen",
        "vgeoms": "geoms has what touches, model.visuals what is only seen",
        "attach": "Attach bodies in the robot's file",
    },
    "ParticleEntity": {
        "get_particles": "Call get_particles_pos()",
        "set_particles_pos": "Call set_position, which takes a place for every particle, too",
        "set_particles_vel": "Call set_velocity, which takes one for every particle, too",
        "set_particle_constraints": "Call attach(particles, target)",
        "remove_particle_constraints": "Call set_free(True)",
        "get_el2v": "Bodies of particles have no elements",
        "n_elements": "Bodies of particles have no elements",
        "find_closest_particle": "Take the argmin of distances to get_particles_pos()",
        "get_particles_in_bbox": "Compare get_particles_pos() with the corners",
    },
}
"""By what has them there; a class's by its name."""
