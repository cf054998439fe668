"""Known or new: what a row's surroundings say, the weights and their prior, the decision."""
