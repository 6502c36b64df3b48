"""What an operator can do with a deployed stack.

Nothing here prints, asks or reads options, so that the command line is one of several possible front ends. Results are
wire models: their JSON is what `--json` prints. None of them holds a name or a variable, and phone numbers are masked
by the `Mask` that the caller passes.
"""
