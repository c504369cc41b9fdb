"""The CIA World Factbook as passages with typed facts. Only here does the project know countries."""
