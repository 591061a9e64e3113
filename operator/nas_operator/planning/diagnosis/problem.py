"""`Problem`: a reason and a message for a condition, an event and the person who reads them."""

import json
from dataclasses import dataclass

MAX_MESSAGE = 1024


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong.

    Attributes:
        reason: a CamelCase word.
        message: what is wrong, where, and what to do.
    """

    reason: str
    message: str


def shortened(text: str, limit: int = MAX_MESSAGE) -> str:
    """`text`, or its beginning and its end: an error is named at the end as often as at the beginning."""
    text = text.strip()
    if len(text) <= limit:
        return text
    gap = " ... "
    end = (limit - len(gap)) * 2 // 3
    return text[: limit - len(gap) - end] + gap + text[-end:]


def sentence(text: str) -> str:
    """`text` with a full stop, to be followed by another sentence."""
    text = text.strip()
    return text if text.endswith((".", "!", "?", ":")) else f"{text}."


def last_words(termination_message: str) -> str:
    """What a process said last, from the end of its log: the last line, or the message in it if that is JSON.

    The kubelet keeps 2,048 bytes of the log, so that a long line may lack its beginning.
    """
    lines = [line.strip() for line in termination_message.splitlines() if line.strip()]
    if not lines:
        return ""
    last = lines[-1]
    try:
        event = json.loads(last)
    except ValueError:
        return last.removesuffix('"}').replace("\\n", "\n").replace('\\"', '"').strip() if last.endswith('"}') else last
    if isinstance(event, dict) and event.get("message"):
        return str(event["message"]).strip()
    return last
