"""CloudEvents envelope, event families and their validation."""
