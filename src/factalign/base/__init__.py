"""What every room uses and nobody owns: ids, choices by name, estimates, records of files, HTTP, text.

Imports nothing of the project but itself.
"""
