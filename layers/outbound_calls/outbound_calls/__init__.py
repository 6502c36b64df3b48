"""Reliable AlloMia outbound calls: what the Lambda functions of this stack share."""
