"""Conversations with the assistant's server, by the client of the Model Context Protocol."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
from mcp import Client, StdioServerParameters
from mcp.client.stdio import stdio_client
from mcp.client.streamable_http import streamable_http_client
from mcp.types import TextContent

from refersion_dagster_tests.location import COMMANDS

Call = tuple[str, dict[str, Any]]
# No account of a test is as recent as this machine's clock.
NEVER_LATE = "1000000"


@dataclass(frozen=True)
class Reply:
    """The reply to a call: an answer, or the text of an error."""

    answer: dict[str, Any]
    error: str

    @property
    def first(self) -> list[str]:
        return self.answer["read_first"]


@dataclass(frozen=True)
class Conversation:
    """The replies to some calls, the tools that the server has, and what it wrote to standard error."""

    replies: list[Reply]
    tools: dict[str, Any]
    instructions: str
    log: str


def converse(published: Path, calls: Sequence[Call], folder: Path, **settings: str) -> Conversation:
    """Starts `refersion-dagster mcp`, calls its tools, and ends it.

    Args:
        published: the folder of the copies.
        folder: its working directory.
        settings: further variables.
    """
    environment = {
        "HOME": str(folder),
        "REFERSION_PUBLISH_PATH": str(published),
        "REFERSION_LATE_HOURS": NEVER_LATE,
        "DAGSTER_DISABLE_TELEMETRY": "1",
        "RUNTIME__DLTHUB_TELEMETRY": "false",
        **settings,
    }
    command = StdioServerParameters(
        command=str(COMMANDS / "refersion-dagster"), args=["mcp"], env=environment, cwd=folder
    )
    path = folder / "mcp.log"
    with path.open("w+", encoding="utf-8") as log:
        replies, tools, instructions = asyncio.run(_talk(Client(stdio_client(command, errlog=log)), calls))
    return Conversation(replies, tools, instructions, path.read_text("utf-8"))


def converse_over_http(url: str, token: str, calls: Sequence[Call]) -> list[Reply]:
    """Calls tools of a server that listens."""

    async def talk() -> list[Reply]:
        async with httpx2.AsyncClient(headers={"Authorization": f"Bearer {token}"}, timeout=30) as http:
            replies, _, _ = await _talk(Client(streamable_http_client(url, http_client=http)), calls)
            return replies

    return asyncio.run(talk())


async def _talk(client: Client, calls: Sequence[Call]) -> tuple[list[Reply], dict[str, Any], str]:
    async with client:
        tools = {tool.name: tool for tool in (await client.list_tools()).tools}
        replies = [await _reply(client, name, arguments) for name, arguments in calls]
        return replies, tools, client.instructions or ""


async def _reply(client: Client, name: str, arguments: dict[str, Any]) -> Reply:
    result = await client.call_tool(name, arguments)
    (content, *_) = result.content
    text = content.text if isinstance(content, TextContent) else ""
    if result.is_error:
        return Reply({}, text)
    answer = result.structured_content
    assert isinstance(answer, dict)
    # Clients without structured content read the same as text.
    assert json.loads(text) == answer
    return Reply(answer, "")
