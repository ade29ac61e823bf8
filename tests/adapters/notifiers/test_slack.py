"""A message for Slack: what people wrote stays text, and fits."""

from __future__ import annotations

import json

from release_pipelines.adapters.notifiers.slack import message_of
from tests.receivers import NOTICE


def test_what_people_wrote_mentions_nobody() -> None:
    said = json.dumps(message_of(NOTICE.model_copy(update={"sentence": "Aborted: <!channel> & <@U1>"})))
    assert "<!channel>" not in said
    assert "&lt;!channel&gt; &amp; &lt;@U1&gt;" in said


def test_a_long_story_fits_into_a_message() -> None:
    long = message_of(NOTICE.model_copy(update={"sentence": "x" * 9000, "what_to_do": ["y" * 9000]}))
    assert all(len(it["text"]["text"]) <= 3000 for it in long["blocks"] if "text" in it)
