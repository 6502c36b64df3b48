"""Calling policy: pure functions from what is known of an attempt and the time to what may be done with it."""
