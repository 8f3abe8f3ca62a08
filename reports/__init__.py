"""The Monthly Operating Report as people get it: pages, files, issues and their delivery."""
