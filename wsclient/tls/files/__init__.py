"""Files of certificates and keys: what is in them, how `ssl` is given them, when they change."""

from __future__ import annotations
