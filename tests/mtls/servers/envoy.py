"""Envoy: BoringSSL, alerts, and TCP is closed in a hurry."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mtls.launching import find_program
from mtls.listeners import Listener
from mtls.servers.server import RealServer

__all__ = ["Envoy"]

_TYPE = "type.googleapis.com/envoy.extensions"
_MANAGER = "filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = "filters.http.router.v3.Router"
_CONTEXT = "transport_sockets.tls.v3.DownstreamTlsContext"


class Envoy(RealServer):
    """`require_client_certificate`."""

    name = "Envoy"
    # BoringSSL has no Ed25519 for servers unless it is asked for.
    key_types = ("rsa-2048", "ec-p256", "ec-p384")

    def command(self, ports: Mapping[str, int]) -> Sequence[str | Path]:
        """Write the configuration and return the command."""
        listeners = [self._listener(self.listeners[name], port) for name, port in ports.items()]
        resources = {"listeners": listeners, "clusters": [self._cluster()]}
        config = self.write("envoy.json", json.dumps({"static_resources": resources}, indent=1))
        options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
        return [_program(), "-c", config, *options]

    def _cluster(self) -> dict[str, Any]:
        endpoint = {"endpoint": {"address": _address(self.backend_port)}}
        return {
            "name": "echo",
            "connect_timeout": "5s",
            "load_assignment": {
                "cluster_name": "echo",
                "endpoints": [{"lb_endpoints": [endpoint]}],
            },
        }

    def _listener(self, listener: Listener, port: int) -> dict[str, Any]:
        chain: dict[str, Any] = {
            "filters": [{"name": "http", "typed_config": _connection_manager()}]
        }
        if listener.tls:
            chain["transport_socket"] = {"name": "tls", "typed_config": self._tls(listener)}
        return {"name": listener.name, "address": _address(port), "filter_chains": [chain]}

    def _tls(self, listener: Listener) -> dict[str, Any]:
        files = self.material.server_files(listener.certificate, listener.key_type)
        parameters: dict[str, Any] = {
            "tls_minimum_protocol_version": f"TLSv{listener.minimum.replace('.', '_')}",
            "tls_maximum_protocol_version": f"TLSv{listener.maximum.replace('.', '_')}",
        }
        if listener.cipher:
            parameters["cipher_suites"] = [listener.cipher]
        return {
            "@type": f"{_TYPE}.{_CONTEXT}",
            "require_client_certificate": listener.verify == "require",
            "common_tls_context": {
                "tls_params": parameters,
                "tls_certificates": [
                    {
                        "certificate_chain": {"filename": str(files.certificate)},
                        "private_key": {"filename": str(files.key)},
                    }
                ],
                "validation_context": {
                    "trusted_ca": {"filename": str(self.material.client_ca_file)},
                    "crl": {"filename": str(self.material.client_crl_file)},
                },
            },
        }


def _program() -> str:
    """Return the program itself: the wheel's script would start it by way of Python."""
    found = importlib.util.find_spec("envoy")
    if found is not None and found.origin is not None:
        inside = Path(found.origin).parent / "_bin" / "envoy"
        if inside.exists():
            return str(inside)
    return find_program("envoy")


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _connection_manager() -> dict[str, Any]:
    route = {"match": {"prefix": "/"}, "route": {"cluster": "echo", "timeout": "0s"}}
    return {
        "@type": f"{_TYPE}.{_MANAGER}",
        "stat_prefix": "http",
        # It would wait a second for a client that waits for it (RFC 6455, section 7.1.1).
        "delayed_close_timeout": "0s",
        "upgrade_configs": [{"upgrade_type": "websocket"}],
        "http_filters": [{"name": "router", "typed_config": {"@type": f"{_TYPE}.{_ROUTER}"}}],
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
    }
