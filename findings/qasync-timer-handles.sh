#!/usr/bin/env bash
# The event loop of qasync returns handles from call_at() and call_later() that do not know when.
#
# Versions: qasync 0.28.0 on PySide6-Essentials 6.10.1.
# asyncio's documentation: call_later() and call_at() return an asyncio.TimerHandle, whose when()
# is the time that it is set for.
# Seen: they return a plain asyncio.Handle; handle.when() raises AttributeError. Code that asks a
# timer for its time, to see whether it has to be set anew, fails under Qt alone.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
python3 -m venv "$folder/venv"
"$folder/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: \
    qasync==0.28.0 PySide6-Essentials==6.10.1
QT_QPA_PLATFORM=offscreen "$folder/venv/bin/python" - <<'PY'
import asyncio, importlib.metadata

import PySide6.QtWidgets
import qasync

for name in ("qasync", "PySide6-Essentials"):
    print(name, importlib.metadata.version(name))
application = PySide6.QtWidgets.QApplication([])
loop = qasync.QEventLoop(application)
kinds = {}
for name, handle in (
    ("call_later", loop.call_later(60, print)),
    ("call_at", loop.call_at(loop.time() + 60, print)),
):
    kinds[name] = type(handle)
    print(f"{name}() returns {type(handle).__name__}; it has when(): {hasattr(handle, 'when')}")
    handle.cancel()
loop.close()
assert not any(issubclass(kind, asyncio.TimerHandle) for kind in kinds.values()), "this has changed"
print("as described: no timer tells its time")
PY
