"""Tasks of Gymnasium on MuJoCo's contact model, under the names `genesis-mujoco/...`."""
