"""The ways to do the task: each fits on train and dev, then answers."""
