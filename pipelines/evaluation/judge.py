"""A language model as judge, from 1 to 5, over any OpenAI-compatible endpoint: `POST URL/chat/completions`.

The key comes from the environment and goes into the request's header only.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Any

from avstream.errors import ConfigError, SourceError

KEYS = ("AVSTREAM_JUDGE_KEY", "OPENAI_API_KEY")
ATTEMPTS, TIMEOUT_S, PAUSE_S = 4, 60.0, 1.0
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
        if not re.match(r"https?://[^\s/@]+(/|$)", url):
            raise ConfigError(
                f"--judge must be an address such as http://localhost:8000/v1; a key belongs into {KEYS[0]}"
            )
        self._url, self._model, self._pause_s = url.rstrip("/") + "/chat/completions", model, pause_s
        self._key = next((os.environ[name] for name in KEYS if os.environ.get(name)), None)

    def mark(self, said: str, references: Sequence[str], sources: Sequence[str]) -> float | None:
        """1 to 5, or None when the model gives no mark. Raises SourceError when the endpoint can't be used."""
        question = QUESTION.format(
            sources=", ".join(sources) or "not known", references="\n".join(f"- {text}" for text in references),
            said=said or "(nothing)",
        )  # fmt: skip
        body = {"model": self._model, "temperature": 0, "messages": [{"role": "user", "content": question}]}
        return marked(self._ask(body))

    def _ask(self, body: dict[str, Any]) -> str:
        """The answer's text; a busy or failing server is asked again, later each time."""
        headers = {"Content-Type": "application/json"}
        headers |= {"Authorization": f"Bearer {self._key}"} if self._key else {}
        request = urllib.request.Request(self._url, json.dumps(body).encode(), headers)
        reason = ""
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(self._pause_s * 2**attempt)
            try:
                with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:
                    return str(json.load(answer)["choices"][0]["message"]["content"])
            except urllib.error.HTTPError as error:
                reason = f"HTTP {error.code}"
                if error.code < 500 and error.code != 429:
                    break
            except (OSError, http.client.HTTPException) as error:
                reason = str(getattr(error, "reason", error)) or type(error).__name__
            except (ValueError, KeyError, IndexError, TypeError) as error:
                raise SourceError("the judge's answer is not that of an OpenAI-compatible endpoint") from error
        hint = f"; set the key in {KEYS[0]}" if reason in ("HTTP 401", "HTTP 403") else ""
        raise SourceError(f"the judge's endpoint gives no answer ({reason}){hint}; what was marked so far is kept")


def marked(answer: str) -> float | None:
    """The mark in an answer: of its JSON, else the only number of 1 to 5 in it."""
    found = re.search(r'"score"\s*:\s*"?([1-5](?:\.\d+)?)\b', answer)
    if found is None:
        numbers = set(re.findall(r"(?<![\d.])[1-5](?![\d.]*\d)", answer))
        return float(numbers.pop()) if len(numbers) == 1 else None
    value = float(found.group(1))
    return value if value <= 5 else None
