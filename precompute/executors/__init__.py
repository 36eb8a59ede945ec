"""Where independent pieces of a step run: threads or processes here, a Dask cluster, or SLURM."""
