"""The gRPC border: one file per service, all of them behind the gate."""
