"""A model behind any OpenAI-compatible endpoint: `POST URL/chat/completions`.

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
from typing import Any

from avstream.errors import ConfigError, SourceError

ATTEMPTS, TIMEOUT_S, PAUSE_S = 4, 60.0, 1.0


class Endpoint:
    """Asks one model, one question at a time."""

    def __init__(self, url: str, model: str, *, option: str, key: str, pause_s: float = PAUSE_S) -> None:
        """`url` is the API's base, such as http://localhost:8000/v1; the key is in the environment's `key`, or in
        OPENAI_API_KEY. Raises ConfigError, naming the `option`, when it is no http address.
        """
        if not re.match(r"https?://[^\s/@]+(/|$)", url):
            raise ConfigError(f"{option} must be an address such as http://localhost:8000/v1; a key belongs into {key}")
        self._url, self._model, self._pause_s = url.rstrip("/") + "/chat/completions", model, pause_s
        self._key_name, self._who = key, option.strip("-")
        self._key = os.environ.get(key) or os.environ.get("OPENAI_API_KEY")

    def ask(self, content: str | list[dict[str, Any]]) -> str:
        """The answer to one message of the user: text, or parts with pictures in them. Raises SourceError when the
        endpoint can't be used; a busy or failing server is asked again, later each time.
        """
        body = {"model": self._model, "temperature": 0, "messages": [{"role": "user", "content": content}]}
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
                raise SourceError(f"the {self._who}'s answer is not that of an OpenAI-compatible endpoint") from error
        hint = f"; set the key in {self._key_name}" if reason in ("HTTP 401", "HTTP 403") else ""
        raise SourceError(f"the {self._who}'s endpoint gives no answer ({reason}){hint}; what was done so far is kept")
