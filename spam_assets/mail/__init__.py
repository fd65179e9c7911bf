"""What a mail is: columns, schema, parsing, landing files, quality rules, importers.

Pure: no Dagster, no MLflow, no environment, no clock, no unseeded randomness.

- `columns`: the names of the columns and labels; imports nothing.
- `parsing`: bytes of a message -> `Message`.
- `landing`: the landing zone: which days have a file, reading and replacing a day's file.
- `corrections`: labels that came later, beside a landing file.
- `folders`: listing and replacing files in folders and buckets.
- `watching`, `index_store`: which days to run since the last look, and where that is kept.
- `landing_files`: the formats of those files: bytes <-> columns.
- `mail_frame`: columns, from whatever source -> the frame of a day.
- `reading`: files that someone wants classified -> a frame.
- `quality`: the rules that a day of mail must pass, and the ones that only warn.
- `schema`: the same columns as pandera schemas.
- `importers`: archives, mail folders and tables -> a landing zone.
"""
