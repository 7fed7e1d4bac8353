"""Turns of a chat as trainers and servers write them: their names for roles, parts, reasoning, tool calls, loss masks.

A turn becomes ``{"role", "content"}``, all of it text: reasoning stands in ``<think>`` before the answer, a call of a
tool as JSON in ``<tool_call>`` behind it, as open models write them. A turn not to be learnt has ``"loss": False``.
"""

import contextlib
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from tis_utils.errors import InputError
from tis_utils.examples.fields import Fields
from tis_utils.examples.text import ROLES

ROLE_NAMES = {
    **{role: role for role in ROLES},
    "human": "user",
    "developer": "system",
    **dict.fromkeys(("gpt", "chatgpt", "model", "function_call"), "assistant"),
    **dict.fromkeys(("function", "observation", "environment", "ipython", "tool_response"), "tool"),
}
REASONING = ("reasoning_content", "reasoning", "thinking")
# a turn's loss mask: OpenAI, Axolotl, LLaMA-Factory, …
LOSS = ("weight", "train", "loss", "trainable", "training", "loss_mask", "train_on_turn")
CALLS = ("tool_calls", "function_call", "function_calls")
PAPERWORK = ("tool_call_id", "id", "type", "index")  # which call an answer belongs to: the order of turns says it
_SPEAKER = re.compile(r"(?:^|\n\n)(Human|Assistant): ?")
_NAMES = (("role", "from"), ("content", "value"))
_TEXT = ("text", "input_text", "output_text")


def read_turns(values: list[Any], fields: Fields) -> list[dict[str, Any]]:
    """Turns of ours for those of a record; `fields` collects what is not read of them."""
    return [_turn(value, number, fields) for number, value in enumerate(values)]


def _turn(value: Any, number: int, fields: Fields) -> dict[str, Any]:
    where = f"{fields.where}: message {number}"
    if not isinstance(value, Mapping):
        raise _no_message(value, fields)
    role, content = value.get("role"), value.get("content")
    if len(value) == 2 and isinstance(content, str) and isinstance(role, str) and role in ROLES:
        return {"role": role, "content": content}  # nearly all are like this, and millions are read
    turn = Fields(value, where)
    keys = [next((key for key in names if key in turn), names[0]) for names in _NAMES]
    if keys[0] not in turn:
        raise _no_message(value, fields)
    given = turn.get(keys[0])
    role = ROLE_NAMES.get(given.lower()) if isinstance(given, str) else None
    if role is None:
        raise InputError(f"{where}: role is {given!r:.60}, expected one of {', '.join(ROLE_NAMES)}.")
    content, calls = _content(turn, keys[1], given), [*_calls(turn)]
    reasoning = think(next(filter(None, map(turn.text, REASONING)), ""))
    if content is None and not calls and not reasoning:
        null = f" (nothing, that is null, in {', '.join(turn.empty)})" if turn.empty else ""
        raise InputError(
            f"{where}: no content (a string, or a list of parts) and no call of a tool{null}. Its keys are "
            f"{', '.join(turn.record)}. Give it a text, empty if nothing was said."
        )
    message: dict[str, Any] = {"role": role, "content": reasoning + "\n".join(filter(None, [content, *calls]))}
    if not _loss(turn):
        message |= {"loss": False} if role == "assistant" else {}
    elif role != "assistant" and any(turn.get(key) for key in LOSS):
        fields.unread.add(f"loss on turns of the {role}")
    for key in PAPERWORK:
        turn.get(key)
    rest = turn.rest()
    fields.unread |= {f"{name} of messages" if name.startswith("'") else name for name in turn.unread}
    fields.parts += [*turn.parts, *([rest] if rest else [])]
    return message


def _no_message(value: Any, fields: Fields) -> InputError:
    return InputError(f"{fields.where}: a message must be an object with 'role' and 'content', got {value!r:.60}.")


def transcript(text: str) -> list[dict[str, Any]]:
    """Turns of a chat in one text, each opened by "Human:" or "Assistant:" after a blank line; empty if it is none."""
    pieces = _SPEAKER.split(text)[1:]
    names = {"Human": "user", "Assistant": "assistant"}
    return [{"role": names[who], "content": what.strip()} for who, what in zip(pieces[::2], pieces[1::2], strict=True)]


def think(reasoning: str) -> str:
    """Reasoning as it stands before the answer; empty where there is none."""
    return f"<think>\n{reasoning.strip()}\n</think>\n\n" if reasoning.strip() else ""


def _content(turn: Fields, key: str, role: str) -> str | None:
    """Text of a turn; None where it has no content at all."""
    content = turn.get(key)
    if isinstance(content, list):
        return "".join(_part(part, turn) for part in content)
    if content is not None and not isinstance(content, str):
        kind = type(content).__name__
        raise InputError(f"{turn.where}: content must be a string (or a list of parts), got {kind}.")
    return _call(content) if content is not None and role == "function_call" else content


def _part(part: Any, turn: Fields) -> str:
    if isinstance(part, str):
        return part
    if not isinstance(part, Mapping):
        raise InputError(f"{turn.where}: a part of the content must be a string or an object, got {part!r:.60}.")
    fields = Fields(part, f"{turn.where}, part")
    kind = fields.word("type") or ("text" if "text" in fields else "unnamed")
    if kind in _TEXT:
        return fields.text("text")
    if kind in ("thinking", "reasoning"):
        return think(fields.text("thinking") or fields.text("text"))
    if kind == "tool_use":
        return _call({"name": part.get("name"), "arguments": part.get("input")})
    if kind == "tool_result":
        return _content(fields, "content", "tool") or ""
    turn.unread.add(f"parts of type {kind!r}")
    turn.parts.append(part)
    return ""


def _calls(turn: Fields) -> Iterator[str]:
    """Texts of a turn's calls of tools."""
    for key in CALLS:
        calls = turn.get(key)
        for call in calls if isinstance(calls, list) else [calls] if calls else []:
            yield _call((call.get("function") or call) if isinstance(call, Mapping) else call)


def _call(call: Any) -> str:
    """One call; arguments that are JSON in a text, as servers send them, become JSON like all else.

    Other arguments that are null are absent: tables give all calls the arguments of each.
    """
    if isinstance(call, Mapping):
        arguments = call.get("arguments", {})
        if isinstance(arguments, str):
            with contextlib.suppress(ValueError):  # not JSON: the model's own words
                arguments = json.loads(arguments)
        elif isinstance(arguments, Mapping):
            arguments = {key: value for key, value in arguments.items() if value is not None}
        words = {key: value for key, value in call.items() if value is not None and key not in PAPERWORK}
        call = json.dumps({**words, "arguments": arguments}, ensure_ascii=False, default=str)
    return f"<tool_call>\n{call}\n</tool_call>"


def _loss(turn: Fields) -> bool:
    """Whether a turn carries loss, as far as its flags say."""
    flags = [(key, turn.get(key)) for key in LOSS if key in turn]
    for key, flag in flags:
        if flag not in (0, 1):
            raise InputError(
                f"{turn.where}: {key!r} is {flag!r:.40}; expected true or false, or 1 or 0: a turn is learnt or not."
            )
    return all(flag for _, flag in flags)
