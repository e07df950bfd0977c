"""`HTTPRequest`, ours and Tornado's: what it means, and what it cannot ask for."""

from __future__ import annotations

import ssl
import time
from types import SimpleNamespace
from typing import Any

import aiohttp
import pytest
import tornado.httpclient
from tornado.httputil import HTTPHeaders
from yarl import URL

from support.ids import steady_repr
from wsclient.errors import InvalidURLError, TLSConfigurationError
from wsclient.options.connect import ConnectOptions
from wsclient.options.credentials import BasicCredentials
from wsclient.options.request import HTTPRequest, request_values
from wsclient.tls import TLSConfig

KINDS = pytest.mark.parametrize("kind", [HTTPRequest, tornado.httpclient.HTTPRequest])
URL_TEXT = "ws://host/"


@KINDS
def test_a_request_sets_its_url_alone(kind: Any) -> None:
    assert request_values(kind(URL_TEXT)) == {"url": URL_TEXT}
    assert request_values(kind(url=URL_TEXT)) == {"url": URL_TEXT}


@KINDS
@pytest.mark.parametrize(
    ("fields", "values"),
    [
        pytest.param({"headers": {"A": "1"}}, {"headers": (("A", "1"),)}, id="headers"),
        pytest.param(
            {"auth_username": "u", "auth_password": "p"},
            {"auth": BasicCredentials("u", "p")},
            id="auth",
        ),
        pytest.param({"auth_username": "u"}, {"auth": BasicCredentials("u")}, id="auth-login"),
        pytest.param({"connect_timeout": 5}, {"connect_timeout": 5.0}, id="connect-timeout"),
        pytest.param({"request_timeout": 6}, {"connect_timeout": 6.0}, id="request-timeout"),
        pytest.param(
            {"connect_timeout": 5, "request_timeout": 3},
            {"connect_timeout": 3.0},
            id="smaller-timeout",
        ),
        pytest.param(
            {"connect_timeout": 0, "request_timeout": 3}, {"connect_timeout": 3.0}, id="one-limit"
        ),
        pytest.param({"connect_timeout": 0}, {"connect_timeout": None}, id="no-limit"),
        pytest.param({"follow_redirects": False}, {"max_redirects": 0}, id="no-redirects"),
        pytest.param({"follow_redirects": True}, {}, id="redirects"),
        pytest.param({"max_redirects": 3}, {"max_redirects": 3}, id="max-redirects"),
        pytest.param(
            {"max_redirects": 3, "follow_redirects": False}, {"max_redirects": 0}, id="both"
        ),
        pytest.param({"user_agent": "me"}, {"user_agent": "me"}, id="user-agent"),
        pytest.param(
            {"network_interface": "127.0.0.1"}, {"local_addr": ("127.0.0.1", 0)}, id="interface"
        ),
        pytest.param(
            {"proxy_host": "p", "proxy_port": 1}, {"proxy": URL("http://p:1")}, id="proxy"
        ),
        pytest.param(
            {"proxy_host": "::1", "proxy_port": 1}, {"proxy": URL("http://[::1]:1")}, id="proxy6"
        ),
        pytest.param(
            {
                "proxy_host": "p",
                "proxy_port": 1,
                "proxy_username": "u@",
                "proxy_password": "a/b#:",
            },
            {"proxy": URL.build(scheme="http", user="u@", password="a/b#:", host="p", port=1)},
            id="proxy-auth",
        ),
        pytest.param({"validate_cert": True}, {}, id="validate"),
        pytest.param({"ca_certs": "ca.pem"}, {"tls": TLSConfig(cafile="ca.pem")}, id="ca"),
        pytest.param(
            {"client_cert": "c.pem", "client_key": "k.pem"},
            {"tls": TLSConfig(cert=("c.pem", "k.pem"))},
            id="client-cert",
        ),
        pytest.param(
            {"client_cert": "c.pem"}, {"tls": TLSConfig(cert="c.pem")}, id="client-cert-alone"
        ),
        pytest.param(
            {"ssl_options": {"certfile": "c", "keyfile": "k", "ca_certs": "a"}},
            {"tls": TLSConfig(cert=("c", "k"), cafile="a")},
            id="ssl-dict",
        ),
        pytest.param(
            {"ssl_options": {"ca_certs": "a", "cert_reqs": ssl.CERT_REQUIRED}},
            {"tls": TLSConfig(cafile="a")},
            id="ssl-dict-required",
        ),
        pytest.param({"ssl_options": {}}, {}, id="ssl-dict-empty"),
        pytest.param({"validate_cert": False}, {"tls": TLSConfig(verify=False)}, id="unverified"),
        pytest.param(
            {"ssl_options": {"cert_reqs": ssl.CERT_NONE}},
            {"tls": TLSConfig(verify=False)},
            id="ssl-dict-unverified",
        ),
        pytest.param(
            {"validate_cert": False, "client_cert": "c", "client_key": "k", "ca_certs": "a"},
            {"tls": TLSConfig(verify=False, cert=("c", "k"), cafile="a")},
            id="unverified-client-cert",
        ),
    ],
)
def test_fields(kind: Any, fields: dict[str, Any], values: dict[str, Any]) -> None:
    result = request_values(kind(URL_TEXT, **fields))
    assert result == {"url": URL_TEXT, **values}
    ConnectOptions(**result)


@KINDS
def test_an_ssl_context_is_passed_on(kind: Any) -> None:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    assert request_values(kind(URL_TEXT, ssl_options=context))["ssl"] is context


@KINDS
@pytest.mark.parametrize(
    ("fields", "error", "says"),
    [
        pytest.param({"auth_password": "p"}, ValueError, "auth_username", id="auth"),
        pytest.param({"auth_username": 1}, TypeError, "login", id="auth-type"),
        pytest.param({"connect_timeout": -1}, ValueError, "connect_timeout", id="timeout"),
        pytest.param({"request_timeout": "5"}, TypeError, "request_timeout", id="timeout-type"),
        pytest.param({"follow_redirects": 1}, TypeError, "must be a bool", id="follow"),
        pytest.param({"max_redirects": -1}, ValueError, "max_redirects", id="redirects"),
        pytest.param({"user_agent": 1}, TypeError, "user_agent", id="user-agent"),
        pytest.param({"network_interface": "eth0"}, ValueError, "name of", id="interface"),
        pytest.param({"proxy_host": "p"}, ValueError, "need each other", id="no-port"),
        pytest.param({"proxy_port": 1}, ValueError, "need each other", id="no-proxy-host"),
        pytest.param({"proxy_username": "u"}, ValueError, "need proxy_host", id="proxy-user"),
        pytest.param(
            {"proxy_host": "p", "proxy_port": 1, "proxy_password": "x"},
            ValueError,
            "needs proxy_username",
            id="proxy-password",
        ),
        pytest.param(
            {"proxy_host": "http://p", "proxy_port": 1}, ValueError, "alone", id="proxy-url"
        ),
        pytest.param(
            {"proxy_host": "p", "proxy_port": 65536}, ValueError, "1..65535", id="proxy-port"
        ),
        pytest.param({"validate_cert": 0}, TypeError, "must be a bool", id="validate"),
        pytest.param({"client_key": "k.pem"}, ValueError, "client certificate", id="key-alone"),
        pytest.param({"ca_certs": 1}, TypeError, "ca_certs", id="ca"),
        pytest.param({"ca_certs": "a\0b"}, TLSConfigurationError, "NUL", id="ca-nul"),
        pytest.param({"ssl_options": True}, TypeError, "not bool", id="ssl-bool"),
        pytest.param({"ssl_options": {"ciphers": "x"}}, ValueError, "ciphers", id="ciphers"),
        pytest.param({"ssl_options": {"cert_reqs": 0}}, TypeError, "VerifyMode", id="cert-reqs"),
        pytest.param(
            {"ssl_options": {}, "validate_cert": False}, ValueError, "excludes", id="ssl-twice"
        ),
    ],
)
def test_bad_fields(kind: Any, fields: dict[str, Any], error: type[Exception], says: str) -> None:
    with pytest.raises(error, match=says):
        request_values(kind(URL_TEXT, **fields))


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        pytest.param({"method": "POST"}, "method", id="method"),
        pytest.param({"method": "get"}, "method", id="method-case"),
        pytest.param({"body": b"x"}, "body", id="body"),
        pytest.param({"body_producer": print}, "body_producer", id="body-producer"),
        pytest.param({"expect_100_continue": True}, "expect_100_continue", id="expect"),
        pytest.param({"if_modified_since": time.time()}, "If-Modified-Since", id="modified"),
        pytest.param({"streaming_callback": print}, "on_message_callback", id="streaming"),
        pytest.param({"header_callback": print}, "response_headers", id="header-callback"),
        pytest.param({"prepare_curl_callback": print}, "curl", id="curl"),
        pytest.param({"decompress_response": False}, "compression_options", id="decompress"),
        pytest.param({"use_gzip": False}, "compression_options", id="gzip"),
        pytest.param({"allow_nonstandard_methods": True}, "GET", id="methods"),
        pytest.param({"allow_ipv6": False}, "resolver=", id="ipv6"),
        pytest.param({"auth_mode": "ntlm"}, "'basic' or 'digest'", id="auth-mode"),
        pytest.param({"proxy_auth_mode": "digest"}, "proxy_auth_mode", id="proxy-auth-mode"),
        pytest.param({"headers": {"A": "1\r\n"}}, "A", id="crlf"),
    ],
)
def test_what_only_tornado_can_do(fields: dict[str, Any], says: str) -> None:
    with pytest.raises(ValueError, match=says):
        request_values(tornado.httpclient.HTTPRequest(URL_TEXT, **fields))


def test_harmless_fields_of_tornado() -> None:
    request = tornado.httpclient.HTTPRequest(
        URL_TEXT,
        decompress_response=True,
        allow_ipv6=True,
        allow_nonstandard_methods=False,
        auth_mode="basic",
        proxy_auth_mode="basic",
    )
    assert request_values(request) == {"url": URL_TEXT}


def test_repeated_headers_of_tornado_stay_apart() -> None:
    headers = HTTPHeaders()
    headers.add("A", "1")
    headers.add("A", "2")
    request = tornado.httpclient.HTTPRequest(URL_TEXT, headers=headers)
    assert request_values(request)["headers"] == (("A", "1"), ("A", "2"))


def test_digest_becomes_a_middleware() -> None:
    request = tornado.httpclient.HTTPRequest(
        URL_TEXT, auth_username="u", auth_password="p", auth_mode="digest"
    )
    assert isinstance(request_values(request)["auth"], aiohttp.DigestAuthMiddleware)


def test_an_object_with_a_few_attributes_is_enough() -> None:
    request = SimpleNamespace(url=URL_TEXT, user_agent="me")
    assert request_values(request) == {"url": URL_TEXT, "user_agent": "me"}


@pytest.mark.parametrize("request_", [None, 1, b"ws://host/", object()], ids=steady_repr)
def test_no_request(request_: object) -> None:
    with pytest.raises(TypeError, match="must have a url"):
        request_values(request_)


def test_our_request_can_be_changed() -> None:
    request = HTTPRequest(URL_TEXT)
    request.headers["a"] = "1"
    request.user_agent = "me"
    assert request.headers["A"] == "1"
    assert request_values(request)["headers"] == (("a", "1"),)
    request.headers["a"] = "1\n"
    with pytest.raises(ValueError, match="line break"):
        request_values(request)


def test_our_request_copies_its_headers() -> None:
    headers = {"A": "1"}
    request = HTTPRequest(URL_TEXT, headers=headers)
    request.headers["B"] = "2"
    assert headers == {"A": "1"}


def test_our_request_knows_no_other_field() -> None:
    with pytest.raises(TypeError, match="method"):
        HTTPRequest(URL_TEXT, method="POST")  # type: ignore[call-arg]  # that is the test


def test_our_request_shows_no_secret() -> None:
    request = HTTPRequest(
        "ws://u:hunter2@host/?hunter2",
        headers={"A": "hunter2"},
        auth_username="u",
        auth_password="hunter2",
        proxy_password="hunter2",
    )
    assert repr(request) == "HTTPRequest('ws://***@host/?***')"
    assert repr(HTTPRequest("nonsense:hunter2")) == "HTTPRequest('***')"


def test_a_bad_url_is_found_by_the_options() -> None:
    with pytest.raises(InvalidURLError):
        ConnectOptions(**request_values(HTTPRequest("http://host/")))
