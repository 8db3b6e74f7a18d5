"""What does the work: one file per engine, pure computation, no Ray, no network."""
