"""What tasks have in common above the mechanisms: their contract, the registry, runs, the command line."""
