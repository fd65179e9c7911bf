"""Where mail comes from: the landing zone, its files, what changed there, and who puts mail into it."""
