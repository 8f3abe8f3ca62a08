"""The webhook receiver: systems that send what happened are let in by signature; each form of them is a declaration in YAML."""
