"""What every package uses and none owns: ids, choices by name, estimates, records of files, batches, HTTP, text.

Imports nothing of the project but itself.
"""
