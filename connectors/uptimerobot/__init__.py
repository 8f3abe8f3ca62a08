"""UptimeRobot: a declaration, see README.md."""
