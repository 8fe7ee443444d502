"""`python -m linklocal`."""

from linklocal.cli.main import main

main()
