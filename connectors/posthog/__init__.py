"""PostHog: a declaration, see README.md."""
