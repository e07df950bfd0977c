"""The test bed: leak checks, peer processes, scripted servers, relays and proxies."""
