"""What processes share: locks, notes that all of them read, the days of the partitions, what they must agree on.

One interface, `place.Place`, and two of it: files of the home folder for one machine, PostgreSQL for several.
"""
