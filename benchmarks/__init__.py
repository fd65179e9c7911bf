"""Side-by-side measurements; each `python -m benchmarks.NAME [--json FILE]`."""
