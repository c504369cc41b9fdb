"""The CIA World Factbook as a corpus: its fields as passages, and what they imply as passages with typed
facts.
"""
