"""Properties of the engine over drawn histories: order, cuts, partitions and crashes leave no trace."""
