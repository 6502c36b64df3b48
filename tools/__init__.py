"""For development, never deployed: what writes generated files, checks the prose and makes releases."""
