"""The services: the calls table, AlloMia, the queues, the bus, the secrets. Only these modules know them.

Each maps between the wire and the domain by naming every field (an allow-list), never "all fields but these".
"""
