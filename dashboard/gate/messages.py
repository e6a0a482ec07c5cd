"""What comes from a page that is open: nothing of it acts once its session has ended.

The browser sends clicks as messages of Streamlit's own. One that comes too late is turned into the wish to see the page
anew, without any click in it; the router then finds nobody signed in, and says so.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from streamlit.proto.BackMsg_pb2 import BackMsg


def automatic(data: bytes) -> bool:
    """Whether the page asks by itself, as for progress; nobody has done anything then."""
    message = _read(data)
    return message is None or message.WhichOneof("type") != "rerun_script" or message.rerun_script.is_auto_rerun


def without_action(data: bytes) -> bytes | None:
    """Give what may be passed on of somebody who is signed in no more; None where that is nothing."""
    message = _read(data)
    if message is None or message.WhichOneof("type") != "rerun_script":
        return None
    asked, plain = message.rerun_script, BackMsg()
    plain.rerun_script.page_script_hash = asked.page_script_hash
    plain.rerun_script.context_info.CopyFrom(asked.context_info)
    left: bytes = plain.SerializeToString()
    return left


def _read(data: bytes) -> BackMsg | None:
    message = BackMsg()
    try:
        message.ParseFromString(data)
    except DecodeError:
        return None
    return message
