"""The local cloud and the AlloMia simulator, for development and tests; never deployed."""
