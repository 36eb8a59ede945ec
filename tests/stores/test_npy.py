"""The npy backend keeps the contract of activation stores."""

from tests.stores.store_contract import StoreContract


class TestNpy(StoreContract):
    backend = "npy"
