"""Networks and losses: the only place that knows Flax."""
