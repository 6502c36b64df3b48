"""For development, never deployed: the local cloud, the AlloMia simulator and the demo."""
