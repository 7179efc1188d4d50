"""`python -m wenlan_data` is `wenlan-data`."""

from wenlan_data.cli.main import main

main()
