"""AWS Auto Scaling: a declaration, see README.md, and what makes one scaling of the activities of its instances."""
