"""Archives, mail folders and tables -> a landing zone with one file a day; a module for each source."""
