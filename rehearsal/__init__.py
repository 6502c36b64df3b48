"""Rehearsals: a deployed stack against AlloMia's sandbox, where no phone rings."""
