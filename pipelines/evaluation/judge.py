"""A language model as judge, from 1 to 5, over any OpenAI-compatible endpoint."""

from __future__ import annotations

import re
from collections.abc import Sequence

from pipelines.evaluation.endpoint import PAUSE_S, Endpoint

QUESTION = """What sounds in a short movie is: {sources}. Reference descriptions:
{references}
A model described the sound as:
{said}

How well does it say what is sounding? 5: all sources right and none invented; 4: right, with a small flaw; 3: partly
right; 2: mostly wrong; 1: wrong or about something else. Answer with JSON only: {{"score": N}}"""


class Judge:
    """Asks a model for marks."""

    def __init__(self, url: str, model: str, pause_s: float = PAUSE_S) -> None:
        """`url` is the API's base, such as http://localhost:8000/v1. Raises ConfigError when it is no http address."""
        self._endpoint = Endpoint(url, model, option="--judge", key="AVSTREAM_JUDGE_KEY", pause_s=pause_s)

    def mark(self, said: str, references: Sequence[str], sources: Sequence[str]) -> float | None:
        """1 to 5, or None when the model gives no mark. Raises SourceError when the endpoint can't be used."""
        question = QUESTION.format(
            sources=", ".join(sources) or "not known", references="\n".join(f"- {text}" for text in references),
            said=said or "(nothing)",
        )  # fmt: skip
        return marked(self._endpoint.ask(question))


def marked(answer: str) -> float | None:
    """The mark in an answer: of its JSON, else the only number of 1 to 5 in it."""
    found = re.search(r'"score"\s*:\s*"?([1-5](?:\.\d+)?)\b', answer)
    if found is None:
        numbers = set(re.findall(r"(?<![\d.])[1-5](?![\d.]*\d)", answer))
        return float(numbers.pop()) if len(numbers) == 1 else None
    value = float(found.group(1))
    return value if value <= 5 else None
