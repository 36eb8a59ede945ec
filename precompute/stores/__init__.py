"""Activation stores: one contract, the backends npy and zarr."""
