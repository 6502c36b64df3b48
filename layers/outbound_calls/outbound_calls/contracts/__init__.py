"""What goes over each wire, one module per wire. Imports nothing else of this project.

On the wire everything is camelCase JSON with AlloMia's field names. Input is refused with the name of the field and the
rule it breaks, never with its content, which may be a name or a phone number.
"""
