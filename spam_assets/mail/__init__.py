"""What a mail is: its columns, how it is parsed, the frames that hold it, and the rules that a day of it must pass.

Pure: no Dagster, no MLflow, no environment, no clock, no unseeded randomness.

A message:
- `parsing`: bytes of a message -> `Message`; made of the next four.
- `headers`: the headers of a message or MIME part, and their parameters.
- `mime`: the MIME structure: text parts and attachments.
- `text`: transfer encodings, charsets and HTML -> the text that a reader sees.
- `dates`: dates as mail and tables write them; days.
- `mbox`: many messages in one file.
- `printing`: text of strangers on a terminal.

A table of mail:
- `columns`: the names of the columns and labels; imports nothing.
- `mail_frame`: columns, from whatever source -> the frame of a day.
- `completion`: any of the columns -> all that scoring reads.
- `reading`: files that someone wants classified -> a frame.
- `schema`: the columns as pandera schemas.
- `errors`: what can be wrong with any of it.

A day of mail:
- `blocking_rules`: what a day must pass.
- `incoming_rules`: what a day without labels must pass.
- `warning_rules`: what is out of line with the trailing days.
- `verdicts`: what a rule says.
- `quarantine`: messages that are put aside.
- `day_summary`: what later days need to know about a day.
- `validation`: from raw to validated mail.
"""
