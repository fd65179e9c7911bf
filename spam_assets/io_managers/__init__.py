"""Where assets are stored: one file a day and asset, on disk or at any fsspec URL.

| module | format | why |
|---|---|---|
| `parquet_frames` | Parquet | every tool reads it |
| `arrow_features` | Arrow IPC | memory-mapped: a window of days costs only the pages that training touches |
| `npz_models` | NumPy `.npz` | plain arrays: loading cannot run code |
| `json_reports` | JSON | small, and read by sensors |

`daily_files` is what they share, `fingerprints` are the data versions of what they hold. Not here: what the data means.
"""
