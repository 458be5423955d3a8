"""Records from text files with one prompt per line."""

from __future__ import annotations

from collections.abc import Iterator

from wan_assets.prompts.columns import PROMPT
from wan_assets.prompts.lookalikes import HEAD_CHARACTERS, lookalike_of_line, lookalike_of_text
from wan_assets.prompts.records import MalformedRecord, Record, unreadable
from wan_assets.prompts.table_file import TableFile


def prompts_in(table: TableFile) -> Iterator[Record | MalformedRecord]:
    """Yields each line that is not empty as a prompt."""
    with table.open_text() as file:
        if found := lookalike_of_text(file.read(HEAD_CHARACTERS)):
            raise unreadable(table, f"is not a list of prompts: it looks like {found.description}; {found.fix}")
    with table.open_text() as file:
        for line, text in enumerate(file, 1):
            if not text.strip():
                continue
            if look := lookalike_of_line(text):
                yield MalformedRecord(line, text.strip(), f"looks like {look.description}", look.fix, (PROMPT,))
            else:
                yield Record(line, (PROMPT,), (text.removesuffix("\n"),))
