"""Surface meshes, resampling and responses."""
