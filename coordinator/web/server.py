"""HTTP beside gRPC: health, metrics and the API, for whoever brings a token."""
