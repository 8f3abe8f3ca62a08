"""The KPIs that ship, one YAML file a CSF (a package, so that they are installed with the code)."""
