"""The pages as their reader follows them: their code in its order, and what comes of it beside what they show."""

import json
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[1]
BIN = Path(sys.executable).parent
COMMAND_SECONDS = 60  # at most, on a busy machine

# Commands come after it: what one block sets, the next one finds.
SHELL = """
source variables
trap '{ export -p | grep -v "^declare -[a-z]*r"; declare -f; } >variables' EXIT
"""

ENDS_WITH = re.compile(r"^(.*?) +# exit (\d).*$", re.MULTILINE)

# What is another in each run: instants, ids, hashes.
VOLATILE = re.compile(
    r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\+00:00|Z)?"
    r"|[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}"
    r"|\b[0-9a-f]{64}\b"
)


def blocks(page: str) -> list[tuple[str, str]]:
    """The languages and texts of a page's code."""
    return re.findall(r"^```(\w[\w ]*)\n(.*?)^```$", page, flags=re.MULTILINE | re.DOTALL)


class Reader:
    """Follows a page.

    Documents are sent, commands run; `json` and `text` are what the block before them must have come to, `json again`
    what the last document must come to once more. What is another in each run must be of its form, and the same
    wherever the page shows the same; in documents and commands it stands for what it was in this run.
    """

    def __init__(
        self, send: Callable[[str], str], folder: Path, environment: Mapping[str, str], here: Mapping[str, str]
    ) -> None:
        """A reader at work.

        Args:
            send: Sends a document; its answer as JSON.
            folder: Where commands are run.
            environment: What they find in it.
            here: What stands on pages, and what is meant by it here.
        """
        self._send = send
        self._folder = folder
        self._environment = {**environment, "COLUMNS": "120", "PATH": f"{BIN}:{environment['PATH']}"}
        self.here = dict(here)
        (folder / "variables").touch()
        (folder / ".venv").symlink_to(ROOT / ".venv")

    def read(self, page: str) -> None:
        """Follow it from its beginning to its end."""
        document = come_to = ""
        for language, text in blocks(page):
            match language:
                case "graphql":
                    document = self._as_here(text)
                    come_to = self._send(document)
                case "sh":
                    come_to = self._run(self._as_here(text))
                case "json":
                    self._compare(same_json(text), same_json(come_to))
                case "json again":
                    self._compare(same_json(text), same_json(self._send(document)))
                case "text":
                    self._compare(text, come_to)

    def _as_here(self, text: str) -> str:
        for word, instead in self.here.items():
            text = text.replace(word, instead)
        return text

    def _run(self, commands: str) -> str:
        """What a block of commands prints; each must end with 0, or as the remark `# exit N` behind it says."""
        judged = ENDS_WITH.sub(r"if \1; then exit 9; else test $? = \2; fi", commands)
        done = subprocess.run(  # noqa: S603 - the pages' own commands
            ["/bin/bash", "-euo", "pipefail", "-a", "-c", SHELL + judged],
            env=self._environment,
            cwd=self._folder,
            capture_output=True,
            text=True,
            timeout=COMMAND_SECONDS,
            check=False,
        )
        assert done.returncode == 0, (commands, done.stdout, done.stderr)
        return done.stdout + done.stderr

    def _compare(self, shown: str, come_to: str) -> None:
        """See that what the page shows is what has come, and learn what stands for what."""
        assert VOLATILE.sub("…", shown).split() == VOLATILE.sub("…", come_to).split()
        for word, instead in zip(VOLATILE.findall(shown), VOLATILE.findall(come_to), strict=True):
            assert form_of(word) == form_of(instead)
            assert self.here.setdefault(word, instead) == instead, f"{word} was {self.here[word]}"


def same_json(text: str) -> str:
    """JSON, however it was written, as one text."""
    return json.dumps(json.loads(text))


def form_of(word: str) -> str:
    """What sort of word it is: the pattern of an instant, the length of all else."""
    return re.sub(r"\d+", "0", word) if word[4] == "-" else str(len(word))
