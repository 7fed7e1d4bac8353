"""Texts in: candidates and queries, the chat format, and where both come from."""

from tis_utils import hand_on

__all__ = ["IGNORE", "Example", "Query", "chat_prompt", "chat_text", "encode_example", "encode_query"]
__getattr__ = hand_on(__name__, {"tis_utils.examples.text": " ".join(__all__)})
