"""csf-pulse as a contender of a bench that gives several stream processors the same work."""
