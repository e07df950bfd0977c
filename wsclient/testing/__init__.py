"""What tests of programs that use wsclient need: servers, certificates and faults."""

from __future__ import annotations

from ..protocol.opcodes import Opcode
from .certificates import (
    CertificateAuthority,
    CertificateFiles,
    IssuedCertificate,
    KubernetesVolume,
    self_signed_certificate,
)
from .clock.virtual import StuckLoopError, VirtualClock, VirtualClockLoop, run_virtual
from .faults import FaultProxy, Line, Rule
from .frames import Frame, FrameDecoder, RecordedFrame, close_frame, encode_frame
from .pair import connection_pair
from .raw import RawConnection, RawRequest, RawServer
from .recording.proxy import RecordingProxy, replay_server
from .recording.session import RecordedEvent, Recording, RecordingError
from .serving.connection import WebSocketServerConnection
from .serving.dialogue import Dialogue, DialogueError
from .serving.handler import WebSocketHandler
from .serving.ready_made import EchoHandler, RecorderHandler, in_turn
from .serving.routes import close_websockets, make_application, websocket_handler
from .serving.served import Handshake, ServedConnection
from .serving.server import WebSocketTestServer
from .tls.server import ThreadedTLSServer, TLSConnectionRecord
from .tls.stream import TLSStream

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
    "Line",
    "Opcode",
    "RawConnection",
    "RawRequest",
    "RawServer",
    "RecordedEvent",
    "RecordedFrame",
    "RecorderHandler",
    "Recording",
    "RecordingError",
    "RecordingProxy",
    "Rule",
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
    "close_websockets",
    "connection_pair",
    "encode_frame",
    "in_turn",
    "make_application",
    "replay_server",
    "run_virtual",
    "self_signed_certificate",
    "websocket_handler",
]
