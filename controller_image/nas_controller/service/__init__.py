"""The gRPC services of a controller: `TrialService` for workers, `SearchService` for operator and command line."""
