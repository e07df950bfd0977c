"""What tests of programs that use wsclient need: servers, certificates and faults."""

from __future__ import annotations

from .certificates import (
    CertificateAuthority,
    CertificateFiles,
    IssuedCertificate,
    KubernetesVolume,
    self_signed_certificate,
)
from .clock import StuckLoopError, VirtualClock, VirtualClockLoop, run_virtual
from .connection import WebSocketServerConnection
from .dialogue import Dialogue, DialogueError
from .faults import FaultProxy
from .frames import Frame, FrameDecoder, RecordedFrame, close_frame, encode_frame
from .handler import WebSocketHandler
from .pair import connection_pair
from .raw import RawConnection, RawRequest, RawServer
from .ready_made import EchoHandler, RecorderHandler
from .recording import RecordedEvent, Recording, RecordingError
from .recording_proxy import RecordingProxy, replay_server
from .routes import make_application, websocket_handler
from .served import Handshake, ServedConnection
from .server import WebSocketTestServer
from .tls_server import ThreadedTLSServer, TLSConnectionRecord
from .tls_stream import TLSStream

__all__ = [
    "CertificateAuthority",
    "CertificateFiles",
    "Dialogue",
    "DialogueError",
    "EchoHandler",
    "FaultProxy",
    "Frame",
    "FrameDecoder",
    "Handshake",
    "IssuedCertificate",
    "KubernetesVolume",
    "RawConnection",
    "RawRequest",
    "RawServer",
    "RecordedEvent",
    "RecordedFrame",
    "RecorderHandler",
    "Recording",
    "RecordingError",
    "RecordingProxy",
    "ServedConnection",
    "StuckLoopError",
    "TLSConnectionRecord",
    "TLSStream",
    "ThreadedTLSServer",
    "VirtualClock",
    "VirtualClockLoop",
    "WebSocketHandler",
    "WebSocketServerConnection",
    "WebSocketTestServer",
    "close_frame",
    "connection_pair",
    "encode_frame",
    "make_application",
    "replay_server",
    "run_virtual",
    "self_signed_certificate",
    "websocket_handler",
]
