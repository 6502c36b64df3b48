"""Attempts, outcomes and transitions. Pure: no clock, no network, no table."""
