"""Artifacts as files for others: tables, pages that open without a server, and Neuronpedia's batches."""
