"""``python -m cli`` is the csf command."""

from cli.main import main

main()
