"""Where mail comes from: the landing zone, its files, what changed there, and who puts mail into it.

- `zone`: a folder or bucket with one file a day: listing, reading and replacing a day.
- `folder`: what a folder or bucket is, and how it fails.
- `excluded_days`: days that a person took back.
- `decoded_size`: what a file turns into, counted while it is decoded.
- `parquet_columns`: columns of a Parquet file, piece by piece.
- `incoming`: the zone's files of mail without labels.
- `file_formats`: CSV, gzipped CSV, Parquet and JSON Lines: bytes <-> a day's frame.
- `corrections`: labels that came later, beside a landing file.
- `errors`: what can be wrong with any of it.
- `watching`: which days have to be run since the last look.
- `day_content`: what a day's files hold, as a digest, and whether they look whole.
- `landing_index`, `index_store`: what was known at the last look, and where that is kept.
- `day_ranges`: days to run -> as few ranges as can be.
- `missing_mail`: whether mail that should have landed has not; days that cannot be true.
- `importers`: archives, mail folders and tables -> a landing zone.
"""
