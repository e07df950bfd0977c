"""How much CPU a message costs, here and with other clients: ``python -m benchmarks.run``.

It is no part of the package that is installed. docs/performance.md says what is measured, and how.
"""
