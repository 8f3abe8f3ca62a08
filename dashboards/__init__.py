"""Grafana boards, generated from the catalogue; provisioning and pushing them."""
