"""`spam-assets`: the person's front door, a module a group of commands; parses, calls, prints."""
