"""The command line: options, confirmation and rendering of what `calls.operations` does."""
