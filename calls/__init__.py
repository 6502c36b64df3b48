"""`calls`, the operators' command: place calls, see their outcomes, and fix what needs a person.

operations   what can be done with a deployed stack: values in, values out, nothing printed
cli          the command line: options, confirmation, rendering

`cli` imports `operations`, and `operations` imports the layer that the functions share, so each rule is written once.
No function imports this package.
"""
