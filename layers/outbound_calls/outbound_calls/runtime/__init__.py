"""How the functions run: settings, telemetry, AWS clients, threads, and the assembly of the real parts."""
