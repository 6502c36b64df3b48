"""Reliable AlloMia outbound calls: the code that the stack's Lambda functions share. Read its packages in this order.

contracts    what goes over each wire
domain       attempts, outcomes, transitions
policy       whether an attempt may be dialled now
adapters     the services
use_cases    what each function does
runtime      settings, telemetry, assembly

Each package imports only from those above it.
"""

import gc

# A start makes up to 110,000 objects and hardly any garbage. At Python's own threshold (2,000 objects) collections take
# 7 % of a cold start.
gc.set_threshold(150_000)
