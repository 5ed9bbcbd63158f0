"""What tasks have in common: their contract, the registry, runs, sweeps, the command line."""
