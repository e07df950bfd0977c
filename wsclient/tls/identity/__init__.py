"""The client's certificate chain and private key, from wherever they come."""

from __future__ import annotations
