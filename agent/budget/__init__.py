"""What the agent itself may spend on a metered link, and the speed tests that spend most of it."""
