"""HTTP beside gRPC: health, metrics and the contract's JSON. It only reads, and it has no logic of its own."""
