"""What the functions do: place, receive, sweep, publish, look up and release_lines. The others are parts of these."""
