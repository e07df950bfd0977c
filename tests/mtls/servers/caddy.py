"""Caddy: TLS of Go, alerts, no list of revoked clients."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtls.launching import find_program
from mtls.listeners import Listener
from mtls.servers.server import RealServer

__all__ = ["Caddy"]

_CIPHERS = {"ECDHE-RSA-AES128-SHA": "TLS_ECDHE_RSA_WITH_AES_128_CBC_SHA"}


class Caddy(RealServer):
    """`mode require_and_verify`."""

    name = "Caddy"
    has_crl = False

    def command(self, ports: Mapping[str, int]) -> Sequence[str | Path]:
        """Write the configuration and return the command."""
        listeners = [self.listeners[name] for name in ports]
        config = {
            "admin": {"disabled": True, "config": {"persist": False}},
            "logging": {"logs": {"default": {"level": "ERROR"}}},
            "apps": {
                "tls": {"certificates": {"load_files": self._certificates(listeners)}},
                "http": {
                    "servers": {
                        each.name: self._server(each, ports[each.name]) for each in listeners
                    }
                },
            },
        }
        path = self.write("caddy.json", json.dumps(config, indent=1))
        return [find_program("caddy"), "run", "--config", path]

    def environment(self) -> dict[str, str]:
        """Keep what it stores in its directory."""
        place = str(self.directory)
        return {"HOME": place, "XDG_DATA_HOME": place, "XDG_CONFIG_HOME": place}

    def _certificates(self, listeners: Sequence[Listener]) -> list[dict[str, Any]]:
        found = []
        for tag, kind, key_type in sorted(
            {(_tag(each), each.certificate, each.key_type) for each in listeners}
        ):
            files = self.material.server_files(kind, key_type)
            found.append(
                {"certificate": str(files.certificate), "key": str(files.key), "tags": [tag]}
            )
        return found

    def _server(self, listener: Listener, port: int) -> dict[str, Any]:
        proxy = {
            "handler": "reverse_proxy",
            "upstreams": [{"dial": f"127.0.0.1:{self.backend_port}"}],
        }
        server: dict[str, Any] = {
            "listen": [f"127.0.0.1:{port}"],
            "automatic_https": {"disable": True},
            "protocols": ["h1"],
            # With client certificates it otherwise answers 421 to those who call it by address.
            "strict_sni_host": False,
            "routes": [{"handle": [proxy]}],
        }
        if listener.tls:
            server["tls_connection_policies"] = [self._policy(listener)]
        return server

    def _policy(self, listener: Listener) -> dict[str, Any]:
        optional = listener.verify == "optional"
        policy: dict[str, Any] = {
            "certificate_selection": {"any_tag": [_tag(listener)]},
            "protocol_min": f"tls{listener.minimum}",
            "protocol_max": f"tls{listener.maximum}",
            "client_authentication": {
                "ca": {"provider": "file", "pem_files": [str(self.material.client_ca_file)]},
                "mode": "verify_if_given" if optional else "require_and_verify",
            },
        }
        if listener.certificate == "wrong_name":
            # Whatever name is asked for, this is the only certificate to show.
            policy |= {"default_sni": "other.example", "fallback_sni": "other.example"}
        if listener.cipher:
            policy["cipher_suites"] = [_CIPHERS[listener.cipher]]
        return policy


def _tag(listener: Listener) -> str:
    return f"{listener.certificate}-{listener.key_type}"
