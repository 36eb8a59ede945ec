"""Content-addressed artifacts: fingerprints, manifests, atomic publishing, locks, reading."""
