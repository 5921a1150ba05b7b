"""`python -m desim`: the command line."""

from desim.cli.main import main

main()
