"""What tests of programs that use wsclient need: servers, certificates and faults."""

from __future__ import annotations

from .connection import WebSocketServerConnection
from .dialogue import Dialogue, DialogueError
from .frames import Frame, FrameDecoder, RecordedFrame, close_frame, encode_frame
from .handler import WebSocketHandler
from .ready_made import EchoHandler, RecorderHandler
from .routes import make_application, websocket_handler
from .served import Handshake, ServedConnection
from .server import WebSocketTestServer

__all__ = [
    "Dialogue",
    "DialogueError",
    "EchoHandler",
    "Frame",
    "FrameDecoder",
    "Handshake",
    "RecordedFrame",
    "RecorderHandler",
    "ServedConnection",
    "WebSocketHandler",
    "WebSocketServerConnection",
    "WebSocketTestServer",
    "close_frame",
    "encode_frame",
    "make_application",
    "websocket_handler",
]
