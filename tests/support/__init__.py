"""The test bed: leak checks, peer processes and proxies."""
