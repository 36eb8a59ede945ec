"""What benchmarks/peers.py measures of Lightwell, and what all are measured on."""
