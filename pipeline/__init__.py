"""The pure core of csf-pulse: events, catalogue, folds, time, evaluation; its one adapter is ``stores``."""
