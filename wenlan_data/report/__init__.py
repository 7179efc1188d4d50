"""What people look at: the HTML report, the data-set card and the machine-readable description of a corpus."""
