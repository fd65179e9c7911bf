"""Archives, mail folders and tables -> a landing zone with one file a day.

A module for each source:
- `spamassassin`: the SpamAssassin public corpus, fetched and read.
- `maildir`: two Maildirs, or folders with one file a message.
- `mbox_files`: two mbox files.
- `trec`: a corpus of the TREC spam tracks.
- `table`: one big CSV file.

And what they share:
- `labelled_messages`: what all but `table` yield, and what they raise.
- `days`: messages in any order -> files of days.
- `day_spool`: where mail waits for the rest of its day.
"""
