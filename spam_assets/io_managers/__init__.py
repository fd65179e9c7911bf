"""Where assets are stored: one file a day and asset, on disk or at any fsspec URL.

| module | format | why |
|---|---|---|
| `frames` | Parquet | every tool reads it |
| `features` | Arrow IPC | memory-mapped: a window of days costs only the pages that training touches |
| `models` | NumPy `.npz` | plain arrays: loading cannot run code |
| `reports` | JSON | small, and read by sensors |

`daily_files` is what they share, `fingerprints` are the data versions of what they hold. Not here: what the data means.
"""
