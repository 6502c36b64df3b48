"""What the functions do, one verb each: place, receive, sweep, publish, look up."""
